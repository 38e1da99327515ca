"""A reader or a command, with the file that is broken for it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.fuzz.mutations import OF_BYTES, Change
from tests.fuzz.runner import by_command, by_engine, by_reader

SLOW = ("report", "new", "run", "data lmdb", "train")  # commands that get fewer inputs
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """What reads a file.

    Attributes:
        name: unique; of a command its line.
        file: the sample that is broken, relative to the folder of samples.
        changes: the ways in which it is broken.
        run: reads the broken file; called in the folder, returns the outcome.
        line: the command line that does the same, for those who look into a failure.
    """

    name: str
    file: str
    changes: dict[str, Change]
    run: Callable[[], str]
    line: str

    @property
    def is_slow(self) -> bool:
        """Whether it takes seconds, and gets fewer inputs."""
        return self.line.startswith(SLOW)

    @property
    def group(self) -> str:
        """The line of the table that counts it."""
        kind = Path(self.file).suffix.removeprefix(".") or "text"
        command = "a reader" if self.line.startswith("python") else self.line.split(" FILE")[0]
        words = [word for word in command.split() if word[0] != "-"]
        words = words[: 2 if command.startswith(("data", "a ", "caffe-torch")) else 1]
        return f"{' '.join(words)}: {kind}"


def of_engine(line: str, file: str, changes: dict[str, Change] = OF_BYTES) -> Target:
    call = partial(by_engine, line.split()[1:])
    return Target(f"{line} [{file}]", file, changes, call, line)


def of_command(line: str, file: str, changes: dict[str, Change] = OF_BYTES) -> Target:
    return Target(f"{line} [{file}]", file, changes, partial(by_command, line.split()), line)


def of_reader(name: str, read: Read, file: str, changes: dict[str, Change] = OF_BYTES) -> Target:
    root = Path(file)
    call = partial(by_reader, partial(read, root))
    line = f"python -m tests.fuzz --read {name!r} {file}"
    return Target(f"{name} [{file}]", file, changes, call, line)


def of_each(
    kinds_of_file: Sequence[str], changes: dict[str, Change], *lines: str
) -> Iterator[Target]:
    for file in kinds_of_file:
        for line in lines:
            yield of_command(line.replace("FILE", file), file, changes)
