"""Lock files, which keep two processes from working in one folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caffe_transfer.errors import BadInput, Busy
from caffe_transfer.files import unwritable


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock file `path` inside the block; yields its file descriptor.

    The lock is released when the last process that inherited the descriptor ends.  Engines
    inherit it, so that one that outlives its parent still keeps others out.

    Raises:
        Busy: another process holds the lock.
        BadInput: the folder is not writable, or its file system does not support locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _acquire(descriptor, path.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(f"another process works in {folder}; wait for it or stop it first") from error
    except OSError as error:
        raise BadInput(
            f"the file system of {folder} does not support locks ({error.strerror}); mount it "
            "with flock, or name a folder elsewhere"
        ) from error
