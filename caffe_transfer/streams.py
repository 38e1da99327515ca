"""Standard streams that are closed, full, or gone with their terminal."""

import io
import os
import sys
from contextlib import suppress


def reserve() -> None:
    """Open those of the standard streams' descriptors that are closed.

    Or the next file to be opened gets one of them, and what a library prints is written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # the lowest that is free, and so this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


class Unfailing(io.TextIOWrapper):
    """A stream whose failures are no reason to end what it tells of, such as a run of weeks."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def tell_where_possible() -> None:
    """Let standard error take what it can: its disk may be full, or its reader gone."""
    old = sys.stderr
    if old is not None:
        sys.stderr = Unfailing(
            old.buffer, encoding=old.encoding, errors=old.errors, line_buffering=True
        )
