"""What kind of file of Caffe's a path is: by its name, and by its contents where that is silent."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from caffe_transfer.errors import CaffeTransferError, FormatError, Incomplete
from caffe_transfer.formats.caffemodel import Blob, open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.check import parse
from caffe_transfer.training.snapshots import open_state

# A mean of 1024x1024 pixels has 12 MB.
MAX_MEAN_BYTES = 1 << 28


class Kind(StrEnum):
    """Kinds of files."""

    MODEL = "caffemodel"
    STATE = "solverstate"
    MEAN = "binaryproto"
    PROTOTXT = "prototxt"
    LIST = "list"
    LMDB = "LMDB"
    OTHER = "file"


_ENDINGS = {
    ".caffemodel": Kind.MODEL, ".caffemodel.h5": Kind.MODEL,
    ".solverstate": Kind.STATE, ".solverstate.h5": Kind.STATE,
    ".binaryproto": Kind.MEAN, ".prototxt": Kind.PROTOTXT, ".txt": Kind.LIST,
}  # fmt: skip


def kind_of(path: Path) -> Kind:
    """The kind of a file or of a database's folder.

    Raises:
        Incomplete: there is nothing at `path`.
    """
    if not path.exists():
        raise Incomplete(f"there is no file {path}; check the name")
    if path.is_dir():
        return Kind.LMDB
    for ending, kind in _ENDINGS.items():
        if path.name.endswith(ending):
            return kind
    if path.suffix and not path.suffix[1:].isdigit():
        return Kind.OTHER
    for kind, reader in _SNIFFERS.items():  # names without an ending, as in 2014
        if _reads(reader, path):
            return kind
    return Kind.OTHER


def _reads(reader: Callable[[Path], object], path: Path) -> bool:
    try:
        reader(path)
    except CaffeTransferError:
        return False
    return True


def _read_model(path: Path) -> None:
    with open_model(path):
        pass


def _read_state(path: Path) -> None:
    with open_state(path):
        pass


def read_mean(path: Path) -> Blob:
    """The blob of a binaryproto, shape (1, channels, height, width), float32.

    Raises:
        FormatError: the file is none.
    """
    message = pb.BlobProto()
    size = path.stat().st_size
    if size > MAX_MEAN_BYTES:
        raise FormatError(f"{path} is not a binaryproto: it has {size} bytes")
    try:
        message.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise FormatError(f"{path} is not a binaryproto: {error}") from error
    values = np.array(message.data, np.float32)
    shape = tuple(message.shape.dim) or (
        message.num, message.channels, message.height, message.width,
    )  # fmt: skip
    if not values.size or values.size != int(np.prod(shape)):
        raise FormatError(f"{path} is not a binaryproto: it holds no whole blob")
    return Blob(shape, values)


def read_prototxt(path: Path) -> pb.SolverParameter | pb.NetParameter:
    """A solver or a net.

    Raises:
        FormatError: the file is neither; names the line that no net has.
    """
    text = path.read_text(errors="replace")
    try:
        return text_format.Parse(text, pb.SolverParameter())
    except text_format.ParseError:
        return parse(text, pb.NetParameter(), str(path))


_SNIFFERS: dict[Kind, Callable[[Path], object]] = {
    Kind.MODEL: _read_model,
    Kind.STATE: _read_state,
    Kind.MEAN: read_mean,
}
