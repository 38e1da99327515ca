"""Datum records: images in Caffe's databases (uint8, channels x height x width, BGR)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.proto import caffe_pb2 as pb


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
