"""Datum records: images in Caffe's databases (uint8, channels x height x width, BGR)."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import WireError, fields


def planes(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Convert an OpenCV image, (height, width[, channels]), to (channels, height, width)."""
    moved = image[np.newaxis] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(moved, np.uint8)


def datum(pixels: npt.NDArray[np.uint8], label: int) -> bytes:
    """Serialize raw pixels, (channels, height, width), byte for byte as convert_imageset does."""
    channels, height, width = pixels.shape
    return pb.Datum(
        channels=channels,
        height=height,
        width=width,
        data=pixels.tobytes(),
        label=label,
        encoded=False,
    ).SerializeToString()


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
