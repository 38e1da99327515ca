"""The mean image of databases, as Caffe's compute_image_mean writes it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from caffe_transfer import paths
from caffe_transfer.data_prep.decode_pool import decoded
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.pixel_sum import PixelSum
from caffe_transfer.data_prep.progress import OnStep, paced, silent
from caffe_transfer.data_prep.stores import check_names, open_store
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.datum import is_complete, parsed
from caffe_transfer.formats.lmdb import count, open_records

_STEP = "mean image"


def write_mean(databases: Sequence[Path], path: Path, progress: OnStep = silent) -> None:
    """Write the mean over all records of the databases as a binaryproto.

    Each database is summed in float32 in the order of its keys, so that the bytes are those of
    Caffe's tool.  A sum that was kept when the database was made is used.

    Raises:
        Incomplete, FormatError: a database is missing or holds no raw Datum records.
        BadInput: images differ in size (names the record), or there are none.
    """
    total = PixelSum()
    for database in databases:
        total.add_sum(_kept_sum(database) or _sum_of(database, progress), str(database))
    if not total.count:
        raise BadInput(f"{databases[0]} holds no records; make it anew")
    total.write_mean(path)


def write_mean_of_images(
    images: ImageList,
    root: Path,
    path: Path,
    *,
    size: int,
    gray: bool,
    progress: OnStep = silent,
) -> None:
    """Write the mean over a list's images, decoded as for a database, without making one.

    Raises:
        BadInput: an image is missing, or none can be decoded.
    """
    total, progress = PixelSum(), paced(progress)
    with open_store(root) as store:
        check_names(store, images.paths, root, progress)
        with decoded(store, images.paths, size, gray) as found:
            for number, (name, pixels) in enumerate(zip(images.paths, found, strict=True), 1):
                if not isinstance(pixels, Fault):
                    total.add(pixels, f"image {shown(root / name)}")
                progress(_STEP, number, len(images))
    if not total.count:
        raise BadInput(f"no image of {len(images)} under {root} can be decoded")
    total.write_mean(path)


def _kept_sum(database: Path) -> PixelSum | None:
    kept = PixelSum.load(paths.pixel_sum(database))
    return kept if kept is not None and kept.count == count(database) else None


def _sum_of(database: Path, progress: OnStep) -> PixelSum:
    total, progress = PixelSum(), paced(progress)
    with open_records(database) as records:
        for number, (key, value, _) in enumerate(records, 1):
            add_record(total, bytes(key), value, database)
            progress(_STEP, number, len(records))
    return total


def add_record(total: PixelSum, key: bytes, value: memoryview, database: Path) -> None:
    """Add the image of a record.

    Raises:
        BadInput: it is not a raw Datum, or has another shape than those before.
    """
    name = f"record {key.decode(errors='replace')} of {database}"
    datum = parsed(bytes(value), name)
    if datum.encoded or not datum.data or not is_complete(datum):
        raise BadInput(f"{name} is not a raw image; make the database anew")
    pixels = np.frombuffer(datum.data, np.uint8)
    total.add(pixels.reshape(datum.channels, datum.height, datum.width), name, key)
