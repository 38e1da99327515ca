"""Single blobs in files (.binaryproto): mean images, and the matrices of InfogainLoss."""

import math
from pathlib import Path

import numpy as np

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.caffemodel import Blob
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.reading import reading

# Far above any mean: 3 x 1024 x 1024 pixels have 12 MB.
MAX_BYTES = 1 << 28


def read_blob(path: Path) -> Blob:
    """Read a binaryproto as float32; a mean has the shape (1, channels, height, width).

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file does not hold a whole blob.
        BadInput: the file cannot be read.
    """
    message = pb.BlobProto()
    with reading(path, "a binaryproto", "make it anew"):
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(f"{path} is not a binaryproto: it has {size} bytes")
        message.ParseFromString(path.read_bytes())
    values = np.array(message.data or message.double_data, np.float32)
    shape = tuple(message.shape.dim) or (
        message.num, message.channels, message.height, message.width,
    )  # fmt: skip
    if not values.size or values.size != math.prod(shape):
        raise FormatError(f"{path} is not a binaryproto: it holds no whole blob")
    return Blob(shape, values)
