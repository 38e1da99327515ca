"""LMDBs of Datum records, read: opened once a process, and checked against a net."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

import lmdb
from google.protobuf.message import DecodeError

from caffe_transfer import paths
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb

# Databases up to this size have every record checked, larger ones their first and last.
CHECK_ALL_BELOW = 100_000
CHECK_ENDS = 1000

_File: TypeAlias = tuple[int, int]  # device and inode, as LMDB itself tells files apart
_OPEN: dict[_File, lmdb.Environment] = {}
_USERS: Counter[_File] = Counter()
_OPENING = threading.Lock()


@contextmanager
def open_lmdb(path: Path) -> Iterator[lmdb.Environment]:
    """A database open for reading, closed after its last user.

    LMDB forbids that a process opens a file twice, so that threads share what is open.

    Raises:
        Incomplete: there is none.
        FormatError: the folder holds none, or a broken one.
    """
    with _OPENING:
        file, environment = _opened(path)
        _USERS[file] += 1
    try:
        yield environment
    finally:
        with _OPENING:
            _USERS[file] -= 1
            if not _USERS[file]:
                del _OPEN[file], _USERS[file]
                environment.close()


def _opened(path: Path) -> tuple[_File, lmdb.Environment]:
    if not path.is_dir():
        raise Incomplete(f"there is no database {path}; make it with caffe-transfer data lmdb")
    try:
        status = os.stat(path / paths.LMDB_DATA)
        file = status.st_dev, status.st_ino
        if file not in _OPEN:
            _OPEN[file] = lmdb.open(str(path), readonly=True, lock=False, create=False)
    except (OSError, lmdb.Error) as error:
        raise FormatError(f"{path} is not an LMDB: {error}; make it anew") from error
    return file, _OPEN[file]


def check_lmdb(
    path: Path,
    *,
    shape: tuple[int, ...] | None = None,
    crop: int = 0,
    classes: int | None = None,
) -> int:
    """Look whether a net can read a database; returns the number of records.

    Args:
        shape: of the mean, channels x height x width.
        crop: the side that the net cuts out, 0 for whole images.
        classes: outputs of the net.

    Raises:
        Incomplete: there is none; FormatError: it is empty or no database of Datum records.
        BadInput: images of another size, or labels beyond the outputs.
    """
    with open_lmdb(path) as environment, environment.begin(buffers=False) as transaction:
        entries = int(transaction.stat()["entries"])
        if not entries:
            raise FormatError(f"{path} holds no records; make it anew")
        with transaction.cursor() as cursor:
            for key, value in _sample(cursor, entries):
                _check_record(path, key, value, shape, crop, classes)
    return entries


def _sample(cursor: lmdb.Cursor, entries: int) -> Iterator[tuple[bytes, bytes]]:
    if entries <= CHECK_ALL_BELOW:
        yield from cast(Iterator[tuple[bytes, bytes]], iter(cursor))
        return
    for start, step in ((cursor.first, cursor.next), (cursor.last, cursor.prev)):
        start()
        for _ in range(CHECK_ENDS):
            yield cast(tuple[bytes, bytes], cursor.item())
            step()


def _check_record(
    path: Path,
    key: bytes,
    value: bytes,
    shape: tuple[int, ...] | None,
    crop: int,
    classes: int | None,
) -> None:
    name = key.decode(errors="replace")
    record = pb.Datum()
    try:
        record.ParseFromString(value)
    except DecodeError as error:
        raise FormatError(f"record {name} of {path} is no Datum; make it anew") from error
    found = (record.channels, record.height, record.width)
    if not record.encoded and shape is not None and found != shape:
        raise BadInput(
            f"record {name} of {path} has the shape {_x(found)}, but the net's mean has "
            f"{_x(shape)}; make both from the same images"
        )
    if not record.encoded and crop and min(found[1:]) < crop:
        raise BadInput(
            f"record {name} of {path} is {_x(found)}, smaller than the net's crop of {crop}; "
            "make the database of larger images"
        )
    if classes is not None and not 0 <= record.label < classes:
        raise BadInput(
            f"record {name} of {path} has the label {record.label}, but the net has {classes} "
            f"outputs (labels 0 to {classes - 1}); make the database from the split's list"
        )


def _x(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
