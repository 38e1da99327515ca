"""Progress callbacks of long steps: called with the step's name, the count done and the total.

A callback may raise, which stops the step; a step calls it every fraction of a second, and leaves
what it has done in a state that the next call goes on from, or nothing.
"""

import threading
import time
from collections.abc import Callable

from caffe_transfer.errors import Interrupted

OnStep = Callable[[str, int, int], None]
_SECONDS = 0.1


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


def stoppable(progress: OnStep, stop: threading.Event | None) -> OnStep:
    """The same callback, which raises Interrupted once `stop` is set."""
    if stop is None:
        return progress

    def checked(step: str, done: int, total: int) -> None:
        progress(step, done, total)
        if stop.is_set():
            raise Interrupted(
                f"stopped at {step}, {done} of {total}; run the same command again to go on"
            )

    return checked


def named(name: str, progress: OnStep) -> OnStep:
    """The same callback for steps that belong to one of several things, whose name they get."""

    def told(step: str, done: int, total: int) -> None:
        progress(f"{name}, {step}", done, total)

    return told


def paced(progress: OnStep) -> OnStep:
    """The same callback for steps of little work: called ten times a second, and at the end."""
    last = -_SECONDS

    def now_and_then(step: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or now - last >= _SECONDS:
            last = now
            progress(step, done, total)

    return now_and_then
