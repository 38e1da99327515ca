"""The mean image of databases, as Caffe's compute_image_mean writes it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from caffe_transfer.data_prep.decode import read_image
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.datum import is_complete, parsed
from caffe_transfer.formats.lmdb import open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb

# A name for messages, and uint8 pixels: channels x height x width.
Named = tuple[str, npt.NDArray[np.uint8]]


def write_mean(databases: Sequence[Path], path: Path, progress: OnStep = silent) -> None:
    """Write the mean over all records of the databases as a binaryproto.

    Summed in float32 in the order of the keys, so that the bytes are those of Caffe's tool.

    Raises:
        Incomplete, FormatError: a database is missing or holds no raw Datum records.
        BadInput: images differ in size (names the record), or there are none.
    """
    records = (record for database in databases for record in _records(database, progress))
    if not _write(records, path):
        raise BadInput(f"{databases[0]} holds no records; make it anew")


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
    images.check_files(root)
    if not _write(_decoded(images, root, size, gray, progress), path):
        raise BadInput(f"no image of {len(images)} under {root} can be decoded")


def _records(database: Path, progress: OnStep) -> Iterator[Named]:
    with open_lmdb(database) as environment, environment.begin() as transaction:
        entries = int(transaction.stat()["entries"])
        for number, (key, value) in enumerate(transaction.cursor(), 1):
            name = f"record {key.decode(errors='replace')} of {database}"
            datum = parsed(value, name)
            if datum.encoded or not datum.data or not is_complete(datum):
                raise BadInput(f"{name} is not a raw image; make the database anew")
            pixels = np.frombuffer(datum.data, np.uint8)
            yield name, pixels.reshape(datum.channels, datum.height, datum.width)
            _report(progress, number, entries)


def _decoded(
    images: ImageList, root: Path, size: int, gray: bool, progress: OnStep
) -> Iterator[Named]:
    for number, name in enumerate(images.paths, 1):
        pixels = read_image(root / name, size, gray)
        if not isinstance(pixels, Fault):
            yield f"image {shown(root / name)}", pixels
        _report(progress, number, len(images))


def _report(progress: OnStep, number: int, total: int) -> None:
    if number % 1000 == 0 or number == total:
        progress("mean image", number, total)


def _write(images: Iterable[Named], path: Path) -> bool:
    """Write the mean, whole or not at all; False, and no file, if there are no images."""
    total: npt.NDArray[np.float32] | None = None
    count = 0
    for name, pixels in images:
        if total is None:
            total = np.zeros(pixels.shape, np.float32)
        if pixels.shape != total.shape:
            raise BadInput(
                f"{name} has the shape {pixels.shape}, those before {total.shape}; make the "
                "database with one size"
            )
        total += pixels
        count += 1
    if total is None:
        return False
    channels, height, width = total.shape
    mean = pb.BlobProto(num=1, channels=channels, height=height, width=width)
    mean.data.extend((total / np.float32(count)).ravel().tolist())
    with atomic_write(path) as file:
        file.write(mean.SerializeToString())
    return True
