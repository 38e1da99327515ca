"""Single blobs in files (.binaryproto): mean images, and the matrices of InfogainLoss."""

from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.caffemodel import Blob
from caffe_transfer.formats.proto import caffe_pb2 as pb

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
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(f"{path} is not a binaryproto: it has {size} bytes")
        message.ParseFromString(path.read_bytes())
    except FileNotFoundError as error:
        raise Incomplete(f"there is no file {path}; check the name") from error
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except DecodeError as error:
        raise FormatError(f"{path} is not a binaryproto: {error}") from error
    values = np.array(message.data or message.double_data, np.float32)
    shape = tuple(message.shape.dim) or (
        message.num, message.channels, message.height, message.width,
    )  # fmt: skip
    if not values.size or values.size != int(np.prod(shape)):
        raise FormatError(f"{path} is not a binaryproto: it holds no whole blob")
    return Blob(shape, values)
