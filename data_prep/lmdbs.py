"""LMDBs of Datum records, as Caffe's convert_imageset writes them.

A key is the image's line number in eight digits, "_" and its path; the numbers of broken images
are skipped.  Pixels are uint8, channels x height x width, in BGR order.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import lmdb
import numpy as np
import numpy.typing as npt

from caffe_transfer import paths
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.records import (
    LmdbRecord,
    difference,
    list_sha256,
    made_by_others,
    read_record,
    versions,
    write_record,
)
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_folder, unwritable
from caffe_transfer.formats.datum import datum, planes
from caffe_transfer.formats.hashes import sha256

RECORDS_PER_COMMIT = 1000
FIRST_MAP_BYTES = 1 << 26
_RESERVE_BYTES = 1 << 12


@dataclass(frozen=True)
class Written:
    """Number of records in a database, and the paths of images that could not be decoded."""

    count: int
    broken: tuple[str, ...]


def write_lmdb(
    images: ImageList,
    root: Path,
    path: Path,
    *,
    size: int | None = None,
    gray: bool = False,
    shuffle: int | None = None,
    strict: bool = False,
    progress: OnStep = silent,
) -> Written:
    """Write the images of a list as a database, with its record beside it, whole or not at all.

    Args:
        root: the folder that the list's paths are relative to.
        size: side in pixels to which images are resized, None to keep theirs.
        gray: one channel instead of three.
        shuffle: seed of a random order, None for the list's order.
        strict: a broken image is an error.

    Raises:
        BadInput: `path` exists, the disk is full, images differ in size, none can be decoded, or,
            if `strict`, one cannot.
    """
    if path.exists():
        raise BadInput(f"{path} is there already; remove it or name another database")
    broken: list[str] = []
    ordered = images if shuffle is None else images.shuffled(shuffle)
    images.check_files(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(path) as temporary:
        count = _write(temporary, path, _records(ordered, root, size, gray, broken, progress))
        if broken and strict:
            raise BadInput(_broken_images(broken, root))
        if not count:
            raise BadInput(f"no image of {len(images)} under {root} can be decoded")
        # Before the database takes its name: one of ours never stands without its record.
        write_record(
            path,
            LmdbRecord(
                list_sha256=list_sha256(images),
                size=size,
                channels=_channels(gray),
                shuffle=shuffle,
                count=count,
                broken=len(broken),
                bytes=(temporary / paths.LMDB_DATA).stat().st_size,
                versions=versions(),
            ),
        )
    return Written(count, tuple(broken))


def check_made_of(
    path: Path, image_list: Path, *, size: int | None, gray: bool, shuffle: int | None
) -> None:
    """Check that `write_lmdb` would make the database `path` again from these arguments.

    A database without a record is trusted.

    Args:
        image_list: the list's file, as lists.write wrote it.

    Raises:
        BadInput: it was made of something else; says of what, and what to do.
        FormatError: the record cannot be read, or is another database's.
    """
    record = read_record(path, LmdbRecord)
    if record is None:
        return
    content = path / paths.LMDB_DATA
    if not content.is_file() or record.bytes != content.stat().st_size:
        raise made_by_others(path, "database")
    remedy = f"remove {path} to make it anew, or name another --out"
    if record.list_sha256 != sha256(image_list):
        raise BadInput(f"{path} was made from other images than {image_list} lists; {remedy}")
    wanted = {"size": size, "channels": _channels(gray), "shuffle": shuffle}
    if found := difference(record, wanted):
        raise BadInput(f"{path} was made {found}; {remedy}")


def _channels(gray: bool) -> int:
    return 1 if gray else 3


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
    progress: OnStep,
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
    """An image as Caffe decodes it: uint8, channels x height x width, BGR; None if broken."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR)
    if image is None:
        return None
    if size is not None:
        image = cv2.resize(image, (size, size))
    return planes(image)


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
    """Write a batch, growing the memory map as needed.

    Free disk space is checked first: LMDB writes through the map, where a full disk would raise a
    signal instead of an error.
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
