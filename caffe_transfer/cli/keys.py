"""Keys pressed in a terminal, one at a time, without the Enter key."""

import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

END_OF_INPUT = "\x04"  # as Ctrl-D


@contextmanager
def single_keys() -> Iterator[None]:
    """Inside the block, keys arrive at once and are not shown; without a terminal, no change."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def key_pressed(seconds: float) -> str:
    """Wait so long for a key.

    Returns:
        the key; END_OF_INPUT where the terminal is gone; "" if none is pressed, or standard input
        is no terminal.
    """
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return ""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return ""
    try:
        return sys.stdin.read(1) or END_OF_INPUT
    except OSError:
        return END_OF_INPUT
