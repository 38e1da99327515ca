"""A database that grows beside its place, and that a later run of the same job goes on with.

Beside the database lie, as long as it is not finished:

lmdb.unfinished/      data.mdb, whole up to its last commit; sum.npz, the sum of its images, where
                      a mean is wanted
lmdb.unfinished.json  what it is made of: only the same job goes on with it
lmdb.unfinished.lock  held by the process that works on it
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.data_prep.records import CopyJob, LmdbJob
from caffe_transfer.errors import Busy
from caffe_transfer.files import atomic_text, remove_leftovers, unwritable
from caffe_transfer.lock import locked


class Unfinished:
    """A database in the making, whose lock this process holds.

    Attributes:
        path: where it will be; folder: where it is now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = paths.unfinished(path)
        self._has_records = False

    def committed(self) -> None:
        """Say that there are records."""
        self._has_records = True

    @property
    def sum(self) -> Path:
        """The file for the sum of the images."""
        return self.folder / "sum.npz"

    def finish(self) -> None:
        """Give the database its name, and its images' sum, if there is one."""
        kept = paths.pixel_sum(self.path)
        if self.sum.exists():
            self.sum.replace(kept)
        else:
            kept.unlink(missing_ok=True)
        self.folder.replace(self.path)
        self.forget()

    def forget(self) -> None:
        """Remove what there is of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        paths.record(self.folder).unlink(missing_ok=True)

    def begin(self, job: LmdbJob | CopyJob, root: Path) -> None:
        """Keep what the same job, on the same images, has left; remove what another has."""
        wanted = json.dumps(asdict(job) | {"images": os.path.realpath(root)}, indent=2) + "\n"
        record = paths.record(self.folder)
        if not (record.is_file() and record.read_bytes() == wanted.encode()):
            self.forget()
            atomic_text(record, wanted)
        self.folder.mkdir(exist_ok=True)

    def end(self) -> None:
        """Leave an unfinished database to the next run, if it has any records."""
        if not self._has_records:
            self.forget()


@contextmanager
def unfinished(path: Path, job: LmdbJob | CopyJob, root: Path) -> Iterator[Unfinished]:
    """Begin the database `path`, or go on with it; it stays if the block fails.

    Args:
        root: the folder of its images, or the database that they are copied from.

    Raises:
        Busy: another process works on it, here or on another machine.
        BadInput: the folder is not writable, or its file system does not support locks.
    """
    with _locked(path) as work:
        try:
            remove_leftovers(path)
            work.begin(job, root)
            yield work
        except OSError as error:
            raise unwritable(path, error) from error
        finally:
            work.end()


def forget_unfinished(path: Path) -> None:
    """Remove what there is of the database `path`, if it is not finished.

    Raises:
        Busy: another process works on it, here or on another machine.
    """
    if paths.unfinished(path).exists():
        with _locked(path) as work:
            work.forget()


def clear_finished(path: Path) -> None:
    """Remove what a process that was killed just when it had finished `path` has left beside it.

    Raises:
        Busy: it lives, here or on another machine.
    """
    folder = paths.unfinished(path)
    lock = paths.lock_beside(folder)
    left = (lock, paths.lock_record(lock), paths.record(folder))
    if any(each.exists() for each in left) and not folder.exists():
        with _locked(path) as work:
            work.forget()


@contextmanager
def _locked(path: Path) -> Iterator[Unfinished]:
    """Hold the lock of the unfinished database `path`, whose file goes after the block.

    Raises:
        Busy: another process works on it, here or on another machine.
        BadInput: the folder is not writable, or its file system does not support locks.
    """
    lock = paths.lock_beside(paths.unfinished(path))
    with locked(lock) as held:
        if not lock.exists() or not os.path.samestat(os.fstat(held.descriptor), lock.stat()):
            raise Busy(f"another process has just worked in {lock.parent}; run this again")
        try:
            yield Unfinished(path)
        finally:
            lock.unlink(missing_ok=True)
