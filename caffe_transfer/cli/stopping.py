"""Ctrl-C and SIGTERM: a wish to stop, which loses nothing that is whole."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

from caffe_transfer.errors import STOPPED, Interrupted

PATIENCE_SECONDS = 0.5
_NUMBERS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], None]


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
def raised_on_signal() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, except where they are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    heard = [each for each in _NUMBERS if signal.getsignal(each) is not signal.SIG_IGN]
    with _handled(dict.fromkeys(heard, _raise)):
        yield


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block, as the user means it: no error."""
    with suppress(_Enough), _handled(dict.fromkeys(_NUMBERS, _raise)):
        yield


class _Enough(KeyboardInterrupt):
    """A signal's exception: no error that some step would take for its own, and answer.

    Of a class of its own, since Python ends by the signal, whatever its exit status, once a
    KeyboardInterrupt itself has passed through code that was compiled from a string.
    """


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise _Enough


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Signals have these handlers, and in the end those that they had before."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


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

    handlers = dict.fromkeys((*_NUMBERS, *limits), handle) | {signal.SIGALRM: lose_patience}
    with _handled(handlers):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, limits)  # a job may begin with them held back
        try:
            yield stop
        except _Enough:
            raise Interrupted(STOPPED) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
