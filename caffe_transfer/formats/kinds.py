"""Recognises Caffe's files by name, and by content where the name does not say."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import h5py

from caffe_transfer.errors import CaffeTransferError, Incomplete
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.hdf5 import open_hdf5
from caffe_transfer.formats.names import (
    MEAN_SUFFIX,
    MODEL_SUFFIXES,
    STATE_SUFFIXES,
    TEXT_SUFFIX,
    has_no_suffix,
)
from caffe_transfer.formats.solverstate import open_state
from caffe_transfer.reading import refuse_endless


class Kind(StrEnum):
    """A kind of file."""

    MODEL = "caffemodel"
    STATE = "solverstate"
    MEAN = "binaryproto"
    PROTOTXT = "prototxt"
    LIST = "list"
    LMDB = "LMDB"
    OTHER = "file"


_SUFFIXES = {
    MODEL_SUFFIXES: Kind.MODEL,
    STATE_SUFFIXES: Kind.STATE,
    (MEAN_SUFFIX,): Kind.MEAN,
    (TEXT_SUFFIX,): Kind.PROTOTXT,
    (".txt",): Kind.LIST,
}
_ANY_HDF5 = (".h5", ".hdf5")  # models, states, and data for HDF5Data layers alike


def kind_of(path: Path) -> Kind:
    """Return the kind of a file; a folder counts as an LMDB.

    Raises:
        BadInput: only its content would tell, and it is a pipe or a device.
        Incomplete: there is nothing at `path`.
    """
    if not path.exists():
        raise Incomplete(f"there is no file {path}; check the name")
    if path.is_dir():
        return Kind.LMDB
    for suffixes, kind in _SUFFIXES.items():
        if path.name.endswith(suffixes):
            return kind
    if has_no_suffix(path) or path.suffix in _ANY_HDF5:
        return _kind_of_content(path)
    return Kind.OTHER


def _kind_of_content(path: Path) -> Kind:
    refuse_endless(path)
    if h5py.is_hdf5(path):
        return _kind_of_hdf5(path)
    matches = (kind for kind, reader in _READERS.items() if _can_read(reader, path))
    return next(matches, Kind.OTHER)


def _kind_of_hdf5(path: Path) -> Kind:
    """Tell a model's /data/<layer>/<index> from a state's /history, without reading arrays."""
    try:
        with open_hdf5(path, "HDF5 file", "fetch it again") as file:
            if isinstance(file.get("history"), h5py.Group):
                return Kind.STATE
            if isinstance(file.get("data"), h5py.Group):
                return Kind.MODEL
    except CaffeTransferError:
        pass
    return Kind.OTHER


def _can_read(reader: Callable[[Path], object], path: Path) -> bool:
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


_READERS: dict[Kind, Callable[[Path], object]] = {
    Kind.MODEL: _read_model,
    Kind.STATE: _read_state,
    Kind.MEAN: read_blob,
}
