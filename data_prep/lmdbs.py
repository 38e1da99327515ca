"""LMDBs of Datum records, as Caffe's convert_imageset writes them.

The key is the line's number in the list, eight digits, "_" and the path; a broken image leaves
its number out.  Pixels are uint8, channels x height x width, in BGR order.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import lmdb
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from caffe_transfer import paths
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import Progress, silent
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.files import atomic_folder, unwritable
from caffe_transfer.formats.proto import caffe_pb2 as pb

RECORDS_PER_COMMIT = 1000
FIRST_MAP_BYTES = 1 << 26
# Databases up to this size have every record checked, larger ones their first and last.
CHECK_ALL_BELOW = 100_000
CHECK_ENDS = 1000
_RESERVE_BYTES = 1 << 12

_File: TypeAlias = tuple[int, int]  # device and inode, as LMDB itself tells files apart
_OPEN: dict[_File, lmdb.Environment] = {}
_USERS: Counter[_File] = Counter()
_OPENING = threading.Lock()


@dataclass(frozen=True)
class Written:
    """What went into a database; `broken` are the paths that could not be decoded."""

    count: int
    broken: tuple[str, ...]


def write_lmdb(
    images: ImageList,
    root: Path,
    path: Path,
    *,
    size: int | None = None,
    gray: bool = False,
    strict: bool = False,
    progress: Progress = silent,
) -> Written:
    """Write the images of a list as a database, whole or not at all.

    Args:
        root: the folder that the list's paths are relative to.
        size: side in pixels to which images are resized, None to keep theirs.
        strict: a broken image is an error.

    Raises:
        BadInput: `path` is taken, the disk is full, images differ in size, or, if `strict`, an
            image is broken.
    """
    if path.exists():
        raise BadInput(f"{path} is there already; remove it or name another database")
    broken: list[str] = []
    images.check_files(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(path) as temporary:
        count = _write(temporary, path, _records(images, root, size, gray, broken, progress))
        if broken and strict:
            raise BadInput(_broken_images(broken, root))
        if not count:
            raise BadInput(f"no image of {len(images)} under {root} can be decoded")
    return Written(count, tuple(broken))


def _broken_images(broken: list[str], root: Path) -> str:
    return (
        f"{len(broken)} images cannot be decoded, first {root / broken[0]}; mend or remove them "
        "from the list, or leave --strict out"
    )


def _records(
    images: ImageList,
    root: Path,
    size: int | None,
    gray: bool,
    broken: list[str],
    progress: Progress,
) -> Iterator[tuple[bytes, bytes]]:
    shape: tuple[int, ...] | None = None
    for number, (name, label) in enumerate(zip(images.paths, images.labels, strict=True)):
        pixels = read_image(root / name, size, gray)
        if pixels is None:
            broken.append(name)
            continue
        if shape is not None and pixels.shape != shape:
            raise BadInput(
                f"image {root / name} has the shape {pixels.shape}, those before {shape}; give "
                "a size to resize to"
            )
        shape = pixels.shape
        yield f"{number:08d}_{name}".encode(), datum(pixels, label)
        if (number + 1) % 100 == 0 or number + 1 == len(images):
            progress("converting images", number + 1, len(images))


def read_image(path: Path, size: int | None, gray: bool) -> npt.NDArray[np.uint8] | None:
    """An image as Caffe sees it: uint8, channels x height x width, BGR; None if it is broken."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR)
    if image is None:
        return None
    if size is not None:
        image = cv2.resize(image, (size, size))
    return planes(image)


def planes(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An image of OpenCV, gray or in colours, as channels x height x width."""
    apart = image[np.newaxis] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(apart, np.uint8)


def datum(pixels: npt.NDArray[np.uint8], label: int) -> bytes:
    """A Datum record of raw pixels, the very bytes that convert_imageset writes."""
    channels, height, width = pixels.shape
    return pb.Datum(
        channels=channels,
        height=height,
        width=width,
        data=pixels.tobytes(),
        label=label,
        encoded=False,
    ).SerializeToString()


def _write(folder: Path, path: Path, records: Iterator[tuple[bytes, bytes]]) -> int:
    count = 0
    try:
        with lmdb.open(str(folder), map_size=FIRST_MAP_BYTES, sync=False) as environment:
            batch: list[tuple[bytes, bytes]] = []
            for record in records:
                batch.append(record)
                if len(batch) == RECORDS_PER_COMMIT:
                    _commit(environment, batch)
                    count += len(batch)
                    batch = []
            _commit(environment, batch)
            environment.sync(True)
    except lmdb.Error as error:
        raise BadInput(f"cannot write {path}: {error}; is the disk full?") from error
    (folder / paths.LMDB_LOCK).unlink(missing_ok=True)
    return count + len(batch)


def _commit(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    """Write a batch; the map grows by itself, and the disk is asked first.

    LMDB writes through a memory map, where a full disk would be a signal, not an error.
    """
    needed = sum(len(key) + len(value) + _RESERVE_BYTES for key, value in batch)
    status = os.statvfs(environment.path())
    if status.f_bavail * status.f_frsize < needed:
        raise unwritable(Path(environment.path()), OSError(28, "No space left on device"))
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)


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
