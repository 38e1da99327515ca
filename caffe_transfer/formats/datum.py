"""Datum records: images in Caffe's databases (uint8, channels x height x width, BGR)."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import VARINT, WireError, delimited, fields, tag, varint

# Tags, sizes and a label below 16384, of an image with sides below 16384.
MOST_BYTES_AROUND_PIXELS = 20


def planes(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Convert an OpenCV image, (height, width[, channels]), to (channels, height, width)."""
    if image.ndim == 2:
        return np.ascontiguousarray(image[np.newaxis], np.uint8)
    found = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image.astype(np.uint8, copy=False), list(found))  # five times as fast as transpose
    return found


def datum(pixels: npt.NDArray[np.uint8], label: int) -> bytes:
    """Serialize raw pixels, (channels, height, width), byte for byte as convert_imageset does."""
    return b"".join((_head(pixels.shape), np.ascontiguousarray(pixels).data, _tail(label)))


def relabelled(value: memoryview, label: int) -> bytes:
    """The bytes of a record with another label, whatever it holds, as Caffe would write them.

    Raises:
        WireError: it is not a Datum.
    """
    at = end = 0
    for field in fields(value):
        if field.number <= pb.Datum.LABEL_FIELD_NUMBER:  # fields are written in this order
            end = field.end
            at = field.start if field.number == pb.Datum.LABEL_FIELD_NUMBER else end
    new = tag(pb.Datum.LABEL_FIELD_NUMBER, VARINT) + varint(label)
    return b"".join((value[:at], new, value[end:]))


def parsed(value: bytes, name: str) -> pb.Datum:
    """Parse a record, whose name messages give.

    Raises:
        FormatError: it is not a Datum, or has a field twice, as a wrong bit makes of two.
    """
    record = pb.Datum()
    try:
        record.ParseFromString(value)
        check_once(field.number for field in fields(memoryview(value)))
    except (DecodeError, WireError) as error:
        raise FormatError(f"{name} is not a Datum; make the database anew") from error
    return record


def check_once(numbers: Iterable[int]) -> None:
    """Check that a record has no field twice, but for its float_data.

    Raises:
        WireError: it has.
    """
    single = [number for number in numbers if number != pb.Datum.FLOAT_DATA_FIELD_NUMBER]
    if len(set(single)) < len(single):
        raise WireError("it has a field twice")


def is_complete(record: pb.Datum) -> bool:
    """Whether a record has as many pixels as its shape says, or an encoded image."""
    if record.encoded:
        return bool(record.data)
    shape = (record.channels, record.height, record.width)
    pixels = len(record.data) or len(record.float_data)
    return min(shape) > 0 and pixels == math.prod(shape)


class Labelling:
    """Notices records that lost their label to a wrong bit.

    Who writes `encoded: false`, which need not be written, writes every label too, even 0.
    """

    def __init__(self) -> None:
        self._some_without = self._all_with = False

    def breaks(self, label: int | None, encoded: int | None) -> bool:
        """Whether a record with these fields, None where there are none, does not fit the others.

        Those before it are meant; the record itself counts from now on.
        """
        self._some_without |= label is None
        self._all_with |= label is not None and encoded == 0
        return self._some_without and self._all_with


@lru_cache(1024)
def _head(shape: tuple[int, ...]) -> bytes:
    sizes = (tag(number, VARINT) + varint(size) for number, size in enumerate(shape, 1))
    return b"".join((*sizes, delimited(pb.Datum.DATA_FIELD_NUMBER, math.prod(shape))))


@lru_cache(1024)
def _tail(label: int) -> bytes:
    label_tag, encoded_tag = (
        tag(number, VARINT)
        for number in (pb.Datum.LABEL_FIELD_NUMBER, pb.Datum.ENCODED_FIELD_NUMBER)
    )
    return label_tag + varint(label) + encoded_tag + varint(False)
