"""Where the bytes of listed images lie: in a folder, in a tar, or where an index says."""

import errno
import os
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from caffe_transfer.data_prep.image_index import ImageIndex
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep, paced, silent
from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.paths import image_index

_LARGEST = 1 << 30  # bytes of an image's file
_KEPT_OPEN = 256  # tars; systems allow a process 1024 files or more
# Fewer images of a folder are looked up one by one: a folder may hold a million others.
_FEW = 20


class Store(Protocol):
    """Images by their names in a list."""

    def read(self, name: str) -> bytes:
        """The bytes of an image's file; may be called from several threads at once.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are not there."""


def _content(path: Path) -> bytes:
    """The bytes of an image's file; an OSError if it is none, or far too large for one."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:  # a pipe would be waited for
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    return path.read_bytes()


class _Folder:
    """A folder, to which the names are relative."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes:
        return _content(self._root / name)

    def missing(self, names: Iterable[str]) -> list[str]:
        asked = Counter[str]()
        there: set[str] = set()
        lost = []
        for name in names:
            folder = os.path.dirname(name)
            asked[folder] += 1
            if asked[folder] == _FEW:
                there |= self._files(folder)
            if name not in there and not os.path.isfile(self._root / name):
                lost.append(name)
        return lost

    def _files(self, folder: str) -> set[str]:
        """The names of a folder's files, links among them left out: their ends may be missing.

        Reading a folder is ten times faster than asking for each of its files.
        """
        try:
            with os.scandir(self._root / folder) as entries:
                return {
                    os.path.join(folder, entry.name)
                    for entry in entries
                    if entry.is_file(follow_symlinks=False)
                }
        except OSError:
            return set()


class _Indexed:
    """Images in tars, or in folders that their names do not tell."""

    def __init__(self, root: Path, index: ImageIndex) -> None:
        self._root, self._index = root, index
        self._paths = [os.fspath(root / holder.path) for holder in index.holders]
        self._descriptors: dict[int, int] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes:
        place = self._index.find(name)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root / name))
        path = self._paths[place.holder]
        if place.is_file:
            return _content(Path(path, os.path.basename(name)))
        with self._opened(place.holder) as descriptor:
            data = os.pread(descriptor, place.size, place.offset)
        if len(data) < place.size:
            raise OSError(errno.EIO, "the file ends early", path)
        return data

    def missing(self, names: Iterable[str]) -> list[str]:
        there = self._index.names()
        return [name for name in names if name not in there]

    @contextmanager
    def _opened(self, holder: int) -> Iterator[int]:
        """The descriptor of a tar, which threads share: each reads at offsets of its own."""
        if holder < _KEPT_OPEN:
            with self._lock:
                if holder not in self._descriptors:
                    self._descriptors[holder] = self._open(holder)
            yield self._descriptors[holder]
            return
        descriptor = self._open(holder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, holder: int) -> int:
        return os.open(self._paths[holder], os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the tars; nothing is read after."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)


@contextmanager
def open_store(root: Path) -> Iterator[Store]:
    """Open the images at `root` for reading: a folder, a tar, or a link with an index beside it.

    Raises:
        FormatError: the tar or the index is damaged.
        BadInput: a tar of the index has changed since, or is not there.
    """
    beside = image_index(root)
    if not beside.is_file() and not root.is_file():
        yield _Folder(root)
        return
    place = root.resolve()
    index = ImageIndex.read(beside, place) if beside.is_file() else ImageIndex.of_tar(place)
    store = _Indexed(place, index)
    try:
        yield store
    finally:
        store.close()


def own_paths(root: Path, names: Sequence[str]) -> list[str]:
    """Where images lie, as their owner has them, for messages.

    Links from a run's folder into the user's are followed, the user's own are not; an image in a
    tar is named as if that were a folder.
    """
    place, beside = os.path.realpath(root), image_index(root)
    if names and beside.is_file():
        with suppress(BadInput, FormatError):  # the tars have gone or changed since
            index = ImageIndex.read(beside, Path(place))
            names = [index.own_path(name) for name in names]
    return [os.path.join(place, name) for name in names]


def check_names(store: Store, names: Sequence[str], root: Path, progress: OnStep = silent) -> None:
    """Check that every image is there.

    Raises:
        BadInput: some are not; names the first.
    """
    if missing := store.missing(_told(names, paced(progress))):
        raise BadInput(
            f"{len(missing)} of {len(names)} images of the list are missing, first "
            f"{shown(root / missing[0])}; check the root folder and the list"
        )


def _told(names: Sequence[str], progress: OnStep) -> Iterator[str]:
    """The names, whose number is reported while they are looked at."""
    for number, name in enumerate(names, 1):
        yield name
        progress("looking for images", number, len(names))
