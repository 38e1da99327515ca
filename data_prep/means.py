"""The mean image of databases, as Caffe's compute_image_mean writes it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_transfer import paths
from caffe_transfer.data_prep.decode_pool import decoded
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.pixel_sum import PixelSum
from caffe_transfer.data_prep.progress import OnStep, paced, silent
from caffe_transfer.data_prep.records import list_sha256, versions
from caffe_transfer.data_prep.stores import check_names, open_store
from caffe_transfer.errors import BadInput
from caffe_transfer.files import unwritable
from caffe_transfer.formats.datum import is_complete, parsed
from caffe_transfer.formats.lmdb import count, open_records

KEEP_SECONDS = 5.0  # how often a sum is kept that has no database beside it
_STEP = "mean image"


@dataclass(frozen=True)
class Undecoded:
    """Images that no database holds; `root`, `size` and `gray` as for lmdbs.write_lmdb."""

    images: ImageList
    root: Path
    size: int
    gray: bool


def write_mean(
    databases: Sequence[Path],
    path: Path,
    progress: OnStep = silent,
    others: Undecoded | None = None,
    record: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the mean over all records of the databases as a binaryproto.

    Each database is summed in float32 in the order of its keys, so that the bytes are those of
    Caffe's tool.  A sum that was kept when the database was made is used.

    Args:
        others: images beside those of the databases, which are decoded without making a database
            of them.  Their sum is kept beside the mean now and then, so that the same call goes
            on after a stop.
        record: called with the SHA-256 of the mean before the mean takes its name.

    Raises:
        Incomplete, FormatError: a database is missing or holds no raw Datum records.
        BadInput: images differ in size (names the record), an image is missing, or there are none.
    """
    total = PixelSum()
    for database in databases:
        total.add_sum(_kept_sum(database) or _sum_of(database, progress), str(database))
    if others is not None and len(others.images):
        total.add_sum(_sum_of_images(others, path, progress), str(others.root))
    if not total.count:
        if others is not None:
            raise BadInput(
                f"no image of {len(others.images)} under {others.root} can be decoded; mend them"
            )
        raise BadInput(f"{databases[0]} holds no records; make it anew")
    total.write_mean(path, record)
    paths.pixel_sum(path).unlink(missing_ok=True)


def _sum_of_images(others: Undecoded, mean: Path, progress: OnStep) -> PixelSum:
    """The sum of decoded images, in their order; goes on with one that was kept."""
    kept, progress = paths.pixel_sum(mean), paced(progress)
    images, root = others.images, others.root
    job = f"{list_sha256(images)} {others.size} {others.gray} {versions()}".encode()
    total, start = _begun(kept, job)
    rest, saved = images.paths[start:], time.monotonic()
    with open_store(root) as store:
        check_names(store, rest, root, progress)
        with decoded(store, rest, others.size, others.gray) as found:
            for done, (name, pixels) in enumerate(zip(rest, found, strict=True), start + 1):
                if not isinstance(pixels, Fault):
                    total.add(pixels, f"image {shown(root / name)}", b"%d %b" % (done, job))
                    if time.monotonic() - saved >= KEEP_SECONDS:
                        _keep(total, kept)
                        saved = time.monotonic()
                progress(_STEP, done, len(images))
    return total


def _begun(kept: Path, job: bytes) -> tuple[PixelSum, int]:
    """The sum that an earlier run of the same job has kept, and how many images it looked at."""
    found = PixelSum.load(kept)
    if found is not None:
        done, _, made_of = found.last.partition(b" ")
        if made_of == job:
            return found, int(done)
    return PixelSum(), 0


def _keep(total: PixelSum, kept: Path) -> None:
    try:
        total.save(kept)
    except OSError as error:
        raise unwritable(kept, error) from error


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
