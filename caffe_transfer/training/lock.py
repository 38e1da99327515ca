"""One process at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caffe_transfer.errors import Busy
from caffe_transfer.files import unwritable


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock file `path`; yields its descriptor.

    The lock goes with the last process that holds the descriptor.  An engine inherits it, so
    that one which outlives its parent still keeps others away.

    Raises:
        Busy: another process holds it.
        BadInput: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError as error:
        raise Busy(
            f"another process works in {path.parent}; wait for it or stop it first"
        ) from error
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock file `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
