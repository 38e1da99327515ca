"""LMDBs of Datum records, as Caffe's convert_imageset writes them.

A key is the image's line number in eight digits, "_" and its path, cut where LMDB ends keys; the
numbers of images that cannot be used are skipped.  Pixels are uint8, channels x height x width,
in BGR order.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb

from caffe_transfer import paths
from caffe_transfer.data_prep.decode import read_image
from caffe_transfer.data_prep.left_out import Fault, LeftOut, reasons, summary, write_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
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
from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.hashes import sha256

RECORDS_PER_COMMIT = 1000
FIRST_MAP_BYTES = 1 << 26
_RESERVE_BYTES = 1 << 12
_MAX_KEY_BYTES = 511  # LMDB's own limit


@dataclass(frozen=True)
class Written:
    """Number of records in a database, and the images that could not be used."""

    count: int
    left_out: tuple[LeftOut, ...]


class EmptyClasses(BadInput):
    """Of some classes no image can be used.

    Attributes:
        left_out: the images of each, by label.
    """

    def __init__(self, left_out: dict[int, list[LeftOut]]) -> None:
        self.left_out = left_out
        first = min(left_out)
        super().__init__(
            f"no image of {len(left_out)} classes can be used, first of class {first}: "
            f"{reasons(left_out[first])}; mend the images"
        )


def write_lmdb(
    images: ImageList,
    root: Path,
    path: Path,
    *,
    size: int | None = None,
    gray: bool = False,
    shuffle: int | None = None,
    strict: bool = False,
    keep_classes: bool = False,
    progress: OnStep = silent,
) -> Written:
    """Write the images of a list as a database, whole or not at all.

    Beside it stand its record, and the list of the images that were left out, if any were.

    Args:
        root: the folder that the list's paths are relative to.
        size: side in pixels to which images are resized, None to keep theirs.
        gray: one channel instead of three.
        shuffle: seed of a random order, None for the list's order.
        strict: an image that cannot be used is an error.
        keep_classes: a class of which no image can be used is an error.

    Raises:
        BadInput: `path` exists, the disk is full, images differ in size, none can be used, or,
            if `strict`, one cannot.
        EmptyClasses: no image of a class can be used, if `keep_classes`.
    """
    if path.exists():
        raise BadInput(f"{path} is there already; remove it or name another database")
    left_out: list[LeftOut] = []
    ordered = images if shuffle is None else images.shuffled(shuffle)
    images.check_files(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(path) as temporary:
        count = _write(temporary, path, _records(ordered, root, size, gray, left_out, progress))
        left_out.sort(key=lambda each: each.path)
        if left_out and strict:
            raise BadInput(
                f"{path} is to hold every image, but {summary(left_out)}; mend them, take them "
                "from the list, or leave --strict out"
            )
        if keep_classes and (empty := _empty_classes(images, left_out)):
            raise EmptyClasses(empty)
        if not count:
            raise BadInput(
                f"no image of {len(images)} under {root} can be used: {reasons(left_out)}; mend "
                "the images"
            )
        write_left_out(left_out, paths.left_out(path))
        # Before the database takes its name: one of ours never stands without its record.
        write_record(
            path,
            LmdbRecord(
                list_sha256=list_sha256(images),
                size=size,
                channels=_channels(gray),
                shuffle=shuffle,
                count=count,
                broken=len(left_out),
                bytes=(temporary / paths.LMDB_DATA).stat().st_size,
                versions=versions(),
            ),
        )
    return Written(count, tuple(left_out))


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


def _empty_classes(images: ImageList, left_out: Sequence[LeftOut]) -> dict[int, list[LeftOut]]:
    """The classes of which all images were left out, and those, by label."""
    label = dict(zip(images.paths, images.labels, strict=True))
    lost = Counter(label[each.path] for each in left_out)
    there = Counter(images.labels)
    empty = {each for each, count in lost.items() if count == there[each]}
    found: dict[int, list[LeftOut]] = {}
    for each in left_out:
        if label[each.path] in empty:
            found.setdefault(label[each.path], []).append(each)
    return found


def _records(
    images: ImageList,
    root: Path,
    size: int | None,
    gray: bool,
    left_out: list[LeftOut],
    progress: OnStep,
) -> Iterator[tuple[bytes, bytes]]:
    shape: tuple[int, ...] | None = None
    for number, (name, label) in enumerate(zip(images.paths, images.labels, strict=True)):
        pixels = read_image(root / name, size, gray)
        if isinstance(pixels, Fault):
            left_out.append(LeftOut(name, pixels))
        else:
            if pixels.shape != (shape := shape or pixels.shape):
                raise BadInput(
                    f"image {shown(root / name)} has the shape {pixels.shape}, those before "
                    f"{shape}; give a size to resize to"
                )
            yield os.fsencode(f"{number:08d}_{name}")[:_MAX_KEY_BYTES], datum(pixels, label)
        if (number + 1) % 100 == 0 or number + 1 == len(images):
            progress("converting images", number + 1, len(images))


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
