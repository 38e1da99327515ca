"""What kind of file of Caffe's a path is: by its name, and by its contents where that is silent."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from caffe_transfer.errors import CaffeTransferError, Incomplete
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.solverstate import open_state


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


_SNIFFERS: dict[Kind, Callable[[Path], object]] = {
    Kind.MODEL: _read_model,
    Kind.STATE: _read_state,
    Kind.MEAN: read_blob,
}
