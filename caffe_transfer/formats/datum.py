"""Datum records: images as Caffe's databases hold them (uint8, channels x height x width, BGR)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.proto import caffe_pb2 as pb


def planes(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An image of OpenCV's, (height, width[, channels]), as (channels, height, width)."""
    apart = image[np.newaxis] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(apart, np.uint8)


def datum(pixels: npt.NDArray[np.uint8], label: int) -> bytes:
    """A record of raw pixels, (channels, height, width): the bytes that convert_imageset writes."""
    channels, height, width = pixels.shape
    return pb.Datum(
        channels=channels,
        height=height,
        width=width,
        data=pixels.tobytes(),
        label=label,
        encoded=False,
    ).SerializeToString()
