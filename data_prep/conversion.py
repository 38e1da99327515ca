"""From images to records: decodes what a database lacks of its images, and adds it.

The keys tell what is there: they begin with the images' numbers.  So a database that was not
finished needs no other memory, and images that were mended in the meantime find their place.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from caffe_transfer.data_prep.decode import Pixels
from caffe_transfer.data_prep.decode_pool import decoded
from caffe_transfer.data_prep.left_out import Fault, LeftOut
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.lmdb_writer import LmdbWriter
from caffe_transfer.data_prep.means import add_record
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.pixel_sum import PixelSum
from caffe_transfer.data_prep.progress import OnStep, paced
from caffe_transfer.data_prep.stores import Store
from caffe_transfer.data_prep.unfinished import Unfinished
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.proto import caffe_pb2 as pb

CONVERTING = "converting images"  # the step's name
_MAX_KEY_BYTES = 511  # LMDB's own limit


def key_of(number: int, name: bytes) -> bytes:
    """The key of an image's record.

    Args:
        number: the image's place in the list.
        name: of the image, or as much of it as another key holds.
    """
    return (b"%08d_" % number + name)[:_MAX_KEY_BYTES]


def name_in_key(name: str) -> bytes:
    """The name of an image as keys hold it, whose numbers have eight digits."""
    return os.fsencode(name)[: _MAX_KEY_BYTES - 9]


class Conversion:
    """The images of one database.

    Args:
        images: in the order of the records.
        size, gray: as for read_image.
    """

    def __init__(
        self,
        images: ImageList,
        root: Path,
        size: int | None,
        gray: bool,
        progress: OnStep,
    ) -> None:
        self._images, self._root = images, root
        self._size, self._gray = size, gray
        self._progress = paced(progress)

    def run(self, store: Store, work: Unfinished, summed: bool) -> tuple[int, list[LeftOut]]:
        """Add every image that is not in the database yet.

        Args:
            summed: keep the sum of all images beside the database.

        Returns:
            the number of records, and the images that could not be used.

        Raises:
            BadInput: the disk is full, or images differ in size.
        """
        summer = _Summer(work, self._progress) if summed else None

        def committed() -> None:
            work.committed()
            if summer is not None:
                summer.save()

        with LmdbWriter(work.folder, work.path, committed) as writer:
            if writer.count:
                work.committed()
            if summer is not None:
                summer.catch_up(writer)
            left_out = list(self._add(store, writer, summer))
            writer.commit()
            if summer is not None:
                summer.finish(writer)
            return writer.count, left_out

    def _add(self, store: Store, writer: LmdbWriter, summer: "_Summer | None") -> Iterator[LeftOut]:
        """Add the images; yields those that cannot be used."""
        numbers, total = _missing(writer, len(self._images)), len(self._images)
        names = [self._images.paths[number] for number in numbers]
        shape = _shape(writer)
        with decoded(store, names, self._size, self._gray) as found:
            for done, (number, name, pixels) in enumerate(
                zip(numbers, names, found, strict=True), total - len(numbers) + 1
            ):
                if isinstance(pixels, Fault):
                    yield LeftOut(name, pixels)
                else:
                    shape = shape or pixels.shape
                    self._check(name, pixels, shape)
                    key = key_of(number, os.fsencode(name))
                    if summer is not None:
                        summer.add(key, pixels)
                    writer.put(key, datum(pixels, self._images.labels[number]))
                self._progress(CONVERTING, done, total)

    def _check(self, name: str, pixels: Pixels, shape: tuple[int, ...]) -> None:
        if pixels.shape != shape:
            raise BadInput(
                f"image {shown(self._root / name)} has the shape {pixels.shape}, those before "
                f"{shape}; give a size to resize to"
            )


def _missing(writer: LmdbWriter, count: int) -> list[int]:
    """The numbers of the images that the database does not hold."""
    there = bytearray(count)
    for key in writer.all_keys():
        there[int(key.partition(b"_")[0])] = True
    return [number for number in range(count) if not there[number]]


def _shape(writer: LmdbWriter) -> tuple[int, ...] | None:
    """The shape of the images that the database holds already."""
    for _, value in writer.records():
        first = pb.Datum.FromString(bytes(value))
        return first.channels, first.height, first.width
    return None


class _Summer:
    """Sums the images while they are added, and keeps the sum of what is committed."""

    def __init__(self, work: Unfinished, progress: OnStep) -> None:
        self._work, self._progress = work, progress
        self._sum = PixelSum()
        self._in_order = True

    def catch_up(self, writer: LmdbWriter) -> None:
        """Begin with the sum that was kept, and the records that it lacks."""
        kept = PixelSum.load(self._work.sum)
        if kept and kept.count == sum(key <= kept.last for key in writer.all_keys()):
            self._sum = kept
        entries = writer.count
        for number, (key, value) in enumerate(writer.records(), 1):
            if key > self._sum.last:
                add_record(self._sum, key, value, self._work.path)
            self._progress("summing images", number, entries)

    def add(self, key: bytes, pixels: Pixels) -> None:
        """Add an image that is about to be written."""
        # A mended image between others: a sum in another order has other bytes.
        self._in_order &= key > self._sum.last
        self._sum.add(pixels, key.decode(errors="replace"), key)

    def save(self) -> None:
        """Keep the sum of what is committed."""
        if self._in_order:
            self._sum.save(self._work.sum)

    def finish(self, writer: LmdbWriter) -> None:
        """Keep the sum of the whole database."""
        if not self._in_order:
            self._sum, self._in_order = PixelSum(), True
            self._work.sum.unlink(missing_ok=True)
            self.catch_up(writer)
        if self._sum.count:
            self.save()
