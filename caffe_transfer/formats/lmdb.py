"""Reads LMDBs of Datum records, and views of them, and checks them against a net."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias, cast

import lmdb

from caffe_transfer import paths
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.datum import Labelling, is_complete, parsed
from caffe_transfer.formats.lmdb_pages import check_pages
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.views import View, is_view, read_view
from caffe_transfer.reading import reading
from caffe_transfer.units import shape_text

# Of databases larger than this, only the first and last records are checked.
CHECK_ALL_BELOW = 100_000
CHECK_ENDS = 1000

# Key, value, and the label that replaces the value's own; None if none does.
Stored: TypeAlias = tuple[memoryview, memoryview, int | None]

_File: TypeAlias = tuple[int, int]  # device and inode, by which LMDB identifies files
_OPEN: dict[_File, lmdb.Environment] = {}
_READERS: dict[_File, set[object]] = {}
_CHECKED: dict[_File, tuple[int, int]] = {}  # size and time of change when it was checked
# Reentrant: a reader that nobody closed is closed when Python collects it, at any time, perhaps
# while its own thread opens another.
_OPENING = threading.RLock()
_AN_LMDB = "an LMDB", "make it anew"


@contextmanager
def open_lmdb(path: Path) -> Iterator[lmdb.Environment]:
    """Open a database for reading.

    LMDB forbids a process to open a file twice, so threads share an environment, which is closed
    after its last user.

    Its pages are checked before LMDB sees them, and whatever it raises within the context becomes
    a FormatError.

    Raises:
        Incomplete: the folder does not exist.
        FormatError: the folder does not hold a valid LMDB.
    """
    with _shared(path) as environment:
        try:
            yield environment
        except lmdb.Error as error:
            raise FormatError(f"{path} cannot be read: {error}; make it anew") from error


@contextmanager
def _shared(path: Path) -> Iterator[lmdb.Environment]:
    if not os.path.isdir(path):  # also of a path that is too long to be one
        raise Incomplete(f"there is no database {path}; make it with caffe-transfer data lmdb")
    reader, data = object(), path / paths.LMDB_DATA
    if not data.is_file():
        raise FormatError(f"{path} is not an LMDB: it has no {paths.LMDB_DATA}; make it anew")
    with reading(path, *_AN_LMDB):
        status = data.stat()
    file = status.st_dev, status.st_ino
    try:
        with _OPENING:
            _READERS.setdefault(file, set()).add(reader)  # first, so that no other closes it
            if file not in _OPEN:
                _OPEN[file] = _opened(path, status)
            environment = _OPEN[file]
        yield environment
    finally:
        _leave(file, reader)


def _leave(file: _File, reader: object) -> None:
    with _OPENING:
        _READERS[file].remove(reader)
        if not _READERS[file]:
            del _READERS[file]
            if file in _OPEN:
                _OPEN.pop(file).close()


def _opened(path: Path, status: os.stat_result) -> lmdb.Environment:
    with reading(path, *_AN_LMDB):
        _check_once(path / paths.LMDB_DATA, status)
        return lmdb.open(str(path), readonly=True, lock=False, create=False)


def _check_once(file: Path, status: os.stat_result) -> None:
    """Check the pages of a file that has not been seen as it is now."""
    identity, seen = (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
    if _CHECKED.get(identity) != seen:
        check_pages(file)
        _CHECKED[identity] = seen


@dataclass(frozen=True)
class Records:
    """The records of a database, or those that a view takes from one, in the order of their keys.

    Keys and values are parts of the mapped file, valid while the transaction is open.
    """

    path: Path
    view: View | None
    transaction: lmdb.Transaction

    def __len__(self) -> int:
        return int(self.transaction.stat()["entries"]) if self.view is None else len(self.view)

    def __iter__(self) -> Iterator[Stored]:
        return self._walk(backwards=False)

    def __reversed__(self) -> Iterator[Stored]:
        return self._walk(backwards=True)

    def _walk(self, backwards: bool) -> Iterator[Stored]:
        if self.view is not None:
            yield from self.view.records(self.transaction, backwards)
            return
        cursor = self.transaction.cursor()
        found = cursor.iterprev() if backwards else cursor.iternext()
        for key, value in cast(Iterator[tuple[memoryview, memoryview]], found):
            yield key, value, None

    def name(self, key: memoryview) -> str:
        """What messages call a record."""
        of = "" if self.view is None else f", a view of {self.view.database}"
        return f"record {bytes(key).decode(errors='replace')} of {self.path}{of}"


@contextmanager
def open_records(path: Path) -> Iterator[Records]:
    """Open a database or a view for reading.

    Raises:
        Incomplete: it does not exist, or the view's database does not.
        FormatError: it is damaged, or the view's database is another now.
    """
    view = read_view(path) if is_view(path) else None
    with (
        open_lmdb(path if view is None else view.database) as environment,
        environment.begin(buffers=True) as transaction,
    ):
        if view is not None:
            view.check_database(transaction)
        yield Records(path, view, transaction)


def count(path: Path) -> int:
    """The number of records of a database or a view, without reading them.

    Raises:
        Incomplete, FormatError: as for `open_records`.
    """
    with open_records(path) as records:
        return len(records)


def check_lmdb(
    path: Path,
    *,
    shape: tuple[int, ...] | None = None,
    crop: int = 0,
    classes: int | None = None,
) -> int:
    """Check that a net can read a database or a view.

    Args:
        shape: of the net's mean, (channels, height, width).
        crop: side of the net's crop in pixels; 0 for whole images.
        classes: number of outputs of the net.

    Returns:
        The number of records.

    Raises:
        Incomplete, FormatError: as for `open_records`; or it is empty, or a record is no image.
        BadInput: an image has the wrong size, or a label is out of range.
    """
    with open_records(path) as records:
        if not len(records):
            raise FormatError(f"{path} holds no records; make it anew")
        labelling = Labelling()
        for key, value, label in _sample(records):
            name = records.name(key)
            record = parsed(bytes(value), name)
            _check_record(name, record, labelling)
            if label is not None:
                record.label = label
            _check_fit(name, record, shape, crop, classes)
        return len(records)


def _sample(records: Records) -> Iterator[Stored]:
    if len(records) <= CHECK_ALL_BELOW:
        return iter(records)
    return chain(islice(iter(records), CHECK_ENDS), islice(reversed(records), CHECK_ENDS))


def _check_record(name: str, record: pb.Datum, labelling: Labelling) -> None:
    if not is_complete(record):
        raise FormatError(f"{name} holds no complete image; make the database anew")
    label = record.label if record.HasField("label") else None
    if labelling.breaks(label, record.encoded if record.HasField("encoded") else None):
        raise FormatError(f"{name} has no label, as only some have; make the database anew")


def _check_fit(
    name: str,
    record: pb.Datum,
    shape: tuple[int, ...] | None,
    crop: int,
    classes: int | None,
) -> None:
    found = (record.channels, record.height, record.width)
    if not record.encoded and shape is not None and found != shape:
        raise BadInput(
            f"{name} has the shape {shape_text(found)}, but the net's mean has "
            f"{shape_text(shape)}; make both from the same images"
        )
    if not record.encoded and crop and min(found[1:]) < crop:
        raise BadInput(
            f"{name} is {shape_text(found)}, smaller than the net's crop of {crop}; "
            "make the database of larger images"
        )
    if classes is not None and not 0 <= record.label < classes:
        raise BadInput(
            f"{name} has the label {record.label}, but the net has {classes} "
            f"outputs (labels 0 to {classes - 1}); make the database from the split's list"
        )
