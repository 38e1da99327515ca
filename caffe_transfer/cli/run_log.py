"""The log of a run: what its command has printed and more, with the time, for later."""

import time
from contextlib import suppress
from pathlib import Path


class RunLog:
    """Lines in a file; those before `begin` wait for it.

    A line that cannot be written is no reason to end a run of weeks.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._waiting: list[str] = []

    def begin(self, path: Path) -> None:
        """Go on at the end of a file."""
        self._path = path
        waiting, self._waiting = self._waiting, []
        self._append("".join(waiting))

    def write(self, text: str) -> None:
        """Write a line."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n"
        if self._path is None:
            self._waiting.append(line)
        else:
            self._append(line)

    def _append(self, text: str) -> None:
        assert self._path is not None
        with suppress(OSError), self._path.open("a") as file:
            file.write(text)
