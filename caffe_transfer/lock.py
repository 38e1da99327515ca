"""Locks, which keep two processes from working in one folder, on one machine or on several.

On one machine the kernel decides, by flock on the lock file.  Other machines may not see that: many
shared file systems keep such locks to themselves.  So the holder has a record beside the lock file
as well (lock_records.py), which it rewrites every few seconds.

A holder on another machine is dead when its record, and the work itself, have stood still for
SILENCE_SECONDS.  The one who waits measures that by its own steady clock: what clocks show, on any
machine, does not matter.  A holder that cannot rewrite its record for LEASE_SECONDS, or that was
taken for dead, must end its work: `Held.guard` does it.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from caffe_transfer.errors import BadInput, Busy, Interrupted
from caffe_transfer.files import is_locked, unwritable
from caffe_transfer.lock_records import Record, RecordFile, claim, records, release

BEAT_SECONDS = 5.0
# Less than the silence, so that the work has ended before another machine begins it.
LEASE_SECONDS = 60.0
SILENCE_SECONDS = 150.0
_PATIENCE_SECONDS = 1.0
_WATCH_SECONDS = 0.5  # between two looks at a holder on another machine


class Held:
    """A lock that this process holds.

    Attributes:
        descriptor: of the lock file.  The lock is held as long as any process has it open.
    """

    def __init__(self, descriptor: int, path: Path, record: Record, since: float) -> None:
        self.descriptor = descriptor
        self._path, self._record = path, record
        self._overtaken = False
        self._beaten = since
        self._ended = threading.Event()

    def is_lost(self) -> bool:
        """Whether another machine has the lock by now, or may soon have it."""
        return self._overtaken or _steady_time() - self._beaten > LEASE_SECONDS

    @contextmanager
    def guard(self, end_work: Callable[[], None]) -> Iterator[None]:
        """Call `end_work`, from another thread, if the lock is lost inside the block.

        Raises:
            Busy: it was lost, unless the block raises another error.
        """
        over = threading.Event()

        def watch() -> None:
            # It reads no file: the file system may be what hangs.
            while not over.wait(min(1.0, LEASE_SECONDS / 10)):
                if self.is_lost():
                    end_work()
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if self.is_lost():
            raise Busy(
                f"the file system of {self._path.parent} did not answer for too long, so that "
                "another machine may work there now; run the same command again"
            )

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Rewrite the record inside the block, and remove it afterwards."""
        thread = threading.Thread(target=self._beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(BEAT_SECONDS)  # longer only where the file system hangs
            if not self.is_lost():
                release(self._path, self._record)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            began = _steady_time()
            try:
                self._overtaken = not self._record.rewrite(self._path)
            except OSError:
                continue  # the lease runs out if it does not come back
            if self._overtaken:
                return
            self._beaten = began


@contextmanager
def locked(
    path: Path, signs: Sequence[Path] = (), stop: threading.Event | None = None
) -> Iterator[Held]:
    """Hold the lock file `path` inside the block.

    The lock is released when the last process that inherited the descriptor ends.  Engines
    inherit it, so that one that outlives its parent still keeps others out.

    A holder on another machine that may be dead is watched, for a few seconds if it is alive.

    Args:
        signs: folders in which the work that the lock is for writes files, as a sign of life.
        stop: set it to end the watch.

    Raises:
        Busy: another process holds the lock.
        BadInput: the folder is not writable, or its file system does not support locks.
        Interrupted: `stop` was set.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _acquire(descriptor, path)
        held = _claimed(descriptor, path, signs, stop)
        with held._beating():
            yield held
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process seems to hold a lock, here or on another machine.

    It does not wait, and so takes the word of the clocks about other machines: no ground to begin
    work on, but enough to tell a user.
    """
    if is_locked(path):
        return True
    last = _holder(path)
    if last is None or last.record.is_of_this_machine:
        return False
    try:
        return time.time() - last.path.stat().st_mtime < SILENCE_SECONDS
    except OSError:
        return False


def _acquire(descriptor: int, path: Path) -> None:
    # Who asks whether it is held takes it for a moment, which is long on a slow file system.
    patience = time.monotonic() + _PATIENCE_SECONDS
    try:
        while not _taken(descriptor):
            if time.monotonic() > patience:
                raise _busy(path, _holder(path))
            time.sleep(_PATIENCE_SECONDS / 20)
    except OSError as error:
        raise BadInput(
            f"the file system of {path.parent} does not support locks ({error.strerror}); mount it "
            "with flock, or name a folder elsewhere"
        ) from error


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _claimed(
    descriptor: int, path: Path, signs: Sequence[Path], stop: threading.Event | None
) -> Held:
    """Write this process's record; on this machine nobody else has the lock."""
    while True:
        try:
            before = records(path)
            if before and not before[-1].record.is_of_this_machine:
                _watch(path, before[-1], signs, stop)
            began = _steady_time()
            if record := claim(path, before):
                held = Held(descriptor, path, record, began)
                if held.is_lost():  # so slow that another may have taken the record for dead
                    raise _busy(path, _holder(path))
                return held
        except OSError as error:
            raise unwritable(path, error) from error


def _watch(
    path: Path, holder: RecordFile, signs: Sequence[Path], stop: threading.Event | None
) -> None:
    """Wait until a holder on another machine is silent for long enough, or gone.

    Raises:
        Busy: it is alive.
        Interrupted: `stop` was set.
    """
    stop = stop or threading.Event()
    first = _signs_of_life(holder, signs)
    until = _steady_time() + SILENCE_SECONDS
    while (now := _signs_of_life(holder, signs)) == first:
        if _steady_time() >= until:
            return
        if stop.wait(min(_WATCH_SECONDS, BEAT_SECONDS)):
            raise Interrupted(
                f"stopped before it was known whether {holder.record} still works in "
                f"{path.parent}; run the same command again to go on"
            )
    if now[0] is not None:
        raise _busy(path, holder)


def _signs_of_life(holder: RecordFile, folders: Sequence[Path]) -> tuple[object, ...]:
    """What changes as long as a holder or its engine works; the first is None if it is gone."""
    found: list[object] = [holder.content()]
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                state = path.stat()
            except OSError:  # just removed, which is seen by its lack
                continue
            found.append((path.name, state.st_size, state.st_mtime_ns))
    return tuple(found)


def _holder(path: Path) -> RecordFile | None:
    """The last of a lock's records; None if there is none, or the file system fails."""
    try:
        return next(reversed(records(path)), None)
    except OSError:
        return None


def _busy(path: Path, holder: RecordFile | None) -> Busy:
    who = f" ({holder.record})" if holder else ""
    return Busy(f"another process works in {path.parent}{who}; wait for it or stop it first")


def _steady_time() -> float:
    """Seconds that pass in sleep as well, and that nobody can set."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
