"""Ctrl-C and SIGTERM: a wish to stop, which loses nothing that is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from caffe_transfer.errors import Interrupted

PATIENCE_SECONDS = 0.5
STOPPED = "stopped; run the same command again to go on"


class Stop(threading.Event):
    """Set by a signal.

    Attributes:
        patient: the work looks at it, as training does.  Other work, such as a download that
            hangs, is ended by an exception in the main thread soon after the signal.
        limit: set where the signal said that a job's time is over, not that the user has enough.
    """

    def __init__(self, patient: bool) -> None:
        super().__init__()
        self.patient = patient
        self.limit = threading.Event()

    def be_patient(self) -> None:
        """From now on the work looks at it."""
        self.patient = True

    def be_impatient(self) -> None:
        """From now on an exception ends the work."""
        self.patient = False


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block, as the user means it: no error."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise _Enough

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Enough:
        pass
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class _Enough(KeyboardInterrupt):
    """A signal's exception: no error that some step would take for its own, and answer."""


@contextmanager
def stop_on_signal(*, patient: bool = True, in_job: bool = False) -> Iterator[Stop]:
    """A wish to stop that Ctrl-C and SIGTERM set.

    Args:
        in_job: a scheduler's SIGTERM, and its SIGUSR1, say that a job's time is over.

    Raises:
        Interrupted: they came while the work did not look at it.
    """
    stop = Stop(patient)
    limits = (signal.SIGTERM, signal.SIGUSR1) if in_job else ()

    def handle(number: int, _frame: FrameType | None) -> None:
        if number in limits:
            stop.limit.set()
        stop.set()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)

    def lose_patience(number: int, _frame: FrameType | None) -> None:
        if not stop.patient:
            raise _Enough

    wishes = dict.fromkeys((signal.SIGINT, signal.SIGTERM, *limits), handle)
    handlers = {**wishes, signal.SIGALRM: lose_patience}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, limits)  # a job may begin with them held back
    try:
        yield stop
    except _Enough:
        raise Interrupted(STOPPED) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, earlier in before.items():
            signal.signal(number, earlier)
