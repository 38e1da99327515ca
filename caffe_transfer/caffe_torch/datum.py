"""Images from an LMDB of Datum records, or from a view of one.

Raw images are views of the mapped database.  The bytes around their pixels hardly vary from record
to record, so their parsed form is cached.
"""

from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from caffe_transfer.errors import BadInput
from caffe_transfer.formats import wire
from caffe_transfer.formats.datum import Labelling, check_once, is_complete, planes
from caffe_transfer.formats.images import decode_image
from caffe_transfer.formats.lmdb import Records, open_records
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays, number
from caffe_transfer.formats.wire import WireError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


# Labels become numbers of 32 bits with a mantissa of 24.
_MOST_LABEL = 1 << 24


class Record(Protocol):
    """An image that is still to be decoded."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def is_encoded(self) -> bool:
        """Whether it is an image file, which takes longer to decode than to copy."""

    def decode(self) -> tuple[Pixels, int]:
        """The image, (channels, height, width), and its label.

        Raises:
            BadInput: there is no complete image; names the record.
        """


class _Layout(NamedTuple):
    """Parsed headers of raw images whose records begin with the same bytes.

    Attributes:
        head: the bytes before the pixels, which include the number of pixels.
        end: the offset at which the pixels end.
        tails: shape and label by the bytes that follow the pixels.
    """

    head: bytes
    end: int
    tails: dict[bytes, tuple[tuple[int, ...], int]]


class _RawImages:
    """Reads raw images, caching parsed headers; safe to call from several threads."""

    def __init__(self) -> None:
        self._layout = _Layout(b"", 0, {})
        self._labelling = Labelling()

    def read(self, value: memoryview) -> tuple[Pixels, int] | None:
        """The image as a view of the record, and its label; None if it is not a raw image.

        Raises:
            WireError: the record is not a Datum, or has lost a field.
        """
        layout = self._layout
        start, known = len(layout.head), None
        if len(value) >= layout.end and value[:start] == layout.head:
            known = layout.tails.get(bytes(value[layout.end :]))
        if known is None:
            found = _raw_layout(value, self._labelling)
            if found is None:
                return None
            if found.head == layout.head:
                layout.tails.update(found.tails)
            else:
                self._layout = layout = found
            start, (known,) = len(layout.head), found.tails.values()
        shape, label = known
        return np.frombuffer(value, np.uint8, layout.end - start, start).reshape(shape), label


def _raw_layout(value: memoryview, labelling: Labelling) -> _Layout | None:
    """Parse the record of a raw image; None if it holds another kind."""
    numbers: dict[int, int] = {}
    start = end = 0
    found = list(wire.fields(value))
    check_once(field.number for field in found)
    for field in found:
        if field.wire_type == wire.VARINT:
            numbers[field.number], _ = wire.read_varint(value, field.value, field.end)
        elif field.number == pb.Datum.DATA_FIELD_NUMBER and field.wire_type == wire.BYTES:
            start, end = field.value, field.end
    shape = tuple(
        numbers.get(number, 0)
        for number in (
            pb.Datum.CHANNELS_FIELD_NUMBER, pb.Datum.HEIGHT_FIELD_NUMBER,
            pb.Datum.WIDTH_FIELD_NUMBER,
        )
    )  # fmt: skip
    encoded = numbers.get(pb.Datum.ENCODED_FIELD_NUMBER)
    if encoded or start == end or end - start != shape[0] * shape[1] * shape[2]:
        return None
    if labelling.breaks(numbers.get(pb.Datum.LABEL_FIELD_NUMBER), encoded):
        raise WireError("it has no label, as only some have")
    label = numbers.get(pb.Datum.LABEL_FIELD_NUMBER, 0)
    label -= (label >> 63) << 64  # negative numbers are written with 64 bits
    return _Layout(bytes(value[:start]), end, {bytes(value[end:]): (shape, label)})


class Source(Protocol):
    """Records without end, from a place on that can be kept."""

    def peek(self) -> Record:
        """The next record, which stays the next one."""

    def __iter__(self) -> Iterator[Record]:
        """Itself."""

    def __next__(self) -> Record:
        """The next record."""

    def state(self) -> Arrays:
        """Where the next record is, for `restore`."""

    def restore(self, state: Arrays) -> None:
        """Go on from a place that `state` gave.

        Raises:
            KeyError, ValueError: there is no such place.
        """

    def close(self) -> None:
        """Let go of files; no record is valid any more."""


class Database:
    """The records of an LMDB or of a view, in key order, over and over."""

    def __init__(self, path: Path, param: pb.TransformationParameter) -> None:
        """Open it.

        Raises:
            Incomplete, FormatError: there is no such database, or it is not the view's any more.
            BadInput: it is empty.
        """
        self._path, self._param = path, param
        self._ahead: _Stored | None = None
        self._go_to(0)
        self._size = len(self.peek().source)

    def _go_to(self, place: int) -> None:
        self._place = place
        self._records = records(self._path, self._param, place)
        self._ahead = None

    def peek(self) -> "_Stored":
        """The next record, which stays the next one."""
        if self._ahead is None:
            self._ahead = next(self._records)
        return self._ahead

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        record, self._ahead = self.peek(), None
        self._place = (self._place + 1) % self._size
        return record

    def state(self) -> Arrays:
        """The number of the next record, for `restore`."""
        return {"place": np.array(self._place), "size": np.array(self._size)}

    def restore(self, state: Arrays) -> None:
        """Go on from a place that `state` gave.

        Raises:
            KeyError, ValueError: it is of a database of another size.
        """
        place, size = number(state, "place"), number(state, "size")
        if size != self._size or not 0 <= place < size:
            raise ValueError(f"{self._path} has {self._size} records, and had {size}")
        self.close()
        self._go_to(place)

    def close(self) -> None:
        self._records.close()


def records(
    path: Path, param: pb.TransformationParameter, first: int = 0
) -> Generator["_Stored", None, None]:
    """The records of an LMDB or of a view, in key order, over and over.

    Args:
        first: the number of the record to begin with.

    Raises:
        Incomplete, FormatError: there is no such database, or it is not the view's any more.
        BadInput: it is empty.
    """
    # One transaction: parts of the mapped file are valid while it is open.
    with open_records(path) as source:
        if not len(source):
            raise BadInput(f"{path} is an empty database; make it with `data lmdb`")
        raw = _RawImages()
        while True:
            for key, value, label in islice(source, first, None):
                yield _Stored(source, key, value, label, raw, param)
            first = 0


class _Stored(NamedTuple):
    """A record of an LMDB; `label` replaces its own."""

    source: Records
    key: memoryview
    value: memoryview
    label: int | None
    raw: _RawImages
    param: pb.TransformationParameter

    @property
    def name(self) -> str:
        return self.source.name(self.key)

    @property
    def is_encoded(self) -> bool:
        return self.raw.read(self.value) is None

    def decode(self) -> tuple[Pixels, int]:
        try:
            pixels, label = self.raw.read(self.value) or _parsed(self.value, self.param)
        except (DecodeError, WireError) as error:
            raise BadInput(f"{self.name} is not a Datum ({error}); rebuild the database") from error
        if pixels is None:
            raise BadInput(f"{self.name} holds no complete image; rebuild the database")
        if self.label is not None:
            label = self.label
        if abs(label) > _MOST_LABEL:
            raise BadInput(f"{self.name} has the label {label}, which no blob can hold; rebuild it")
        return pixels, label


def _parsed(value: memoryview, param: pb.TransformationParameter) -> tuple[Pixels | None, int]:
    """Parse an encoded or float image and its label; None for an incomplete image."""
    datum = pb.Datum()
    datum.ParseFromString(bytes(value))
    if not is_complete(datum):
        return None, datum.label
    if datum.encoded:
        return _decode(datum.data, param), datum.label
    raw, floats = np.frombuffer(datum.data, np.uint8), np.array(datum.float_data, np.float32)
    values = raw if datum.data else floats
    return values.reshape(datum.channels, datum.height, datum.width), datum.label


def _decode(data: bytes, param: pb.TransformationParameter) -> npt.NDArray[np.uint8] | None:
    if param.force_color and param.force_gray:
        raise BadInput("transform_param sets both force_color and force_gray; keep one of them")
    mode = cv2.IMREAD_UNCHANGED
    if param.force_color or param.force_gray:
        mode = cv2.IMREAD_COLOR if param.force_color else cv2.IMREAD_GRAYSCALE
    try:
        image = decode_image(data, mode)
    except cv2.error:
        return None
    return None if image is None or image.dtype != np.uint8 else planes(image)
