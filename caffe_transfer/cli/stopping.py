"""Ctrl-C and SIGTERM: a wish to stop, which loses nothing that is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from caffe_transfer.errors import Interrupted

PATIENCE_SECONDS = 0.5


class Stop(threading.Event):
    """Set by a signal.

    Attributes:
        patient: the work looks at it, as training does.  Other work, such as a download that
            hangs, is ended by an exception in the main thread soon after the signal.
    """

    def __init__(self, patient: bool) -> None:
        super().__init__()
        self.patient = patient

    def be_patient(self) -> None:
        """From now on the work looks at it."""
        self.patient = True


@contextmanager
def stop_on_signal(*, patient: bool = True) -> Iterator[Stop]:
    """A wish to stop that Ctrl-C and SIGTERM set."""
    stop = Stop(patient)

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)

    def lose_patience(_number: int, _frame: FrameType | None) -> None:
        if not stop.patient:
            raise Interrupted("stopped; run the same command again to go on")

    handlers = {signal.SIGINT: handle, signal.SIGTERM: handle, signal.SIGALRM: lose_patience}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, earlier in before.items():
            signal.signal(number, earlier)
