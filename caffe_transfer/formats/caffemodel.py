"""Network parameters in every format that Caffe ever wrote, read without Caffe.

Binary files (V0, V1, V2: layer_records.py) are memory-mapped, so that blobs are read from disk
only when used.  HDF5 files (snapshot_format: HDF5) hold /data/<layer>/<index>.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.hdf5 import names, open_hdf5, read_array
from caffe_transfer.formats.layer_records import BlobRecord, is_hdf5, mapped, read_records


@dataclass(frozen=True)
class Blob:
    """One array of parameters.

    Attributes:
        shape: as stored; (1, 1, 1, n) for the biases of V0 and V1.
        values: float32, or float64 if the file holds doubles; one-dimensional, in C order.  A
            view of the file where that is binary.
        legacy: see layer_records.BlobRecord.
    """

    shape: tuple[int, ...]
    values: npt.NDArray[Any]
    legacy: bool = False

    def tobytes(self) -> bytes:
        """Return the values as raw little-endian numbers."""
        return self.values.tobytes()


@dataclass(frozen=True)
class Layer:
    """A layer and its parameters.

    Attributes:
        type: as stored: "Convolution" in V2, "CONVOLUTION" in V1, "conv" in V0, and "" in HDF5,
            which does not store it.
        places: the index of each blob among the layer's parameters; None: all from 0 on.  HDF5
            leaves out those that a layer before it shares.
    """

    name: str
    type: str
    blobs: tuple[Blob, ...]
    places: tuple[int, ...] | None = None

    @property
    def by_index(self) -> dict[int, Blob]:
        """The blobs by their indices among the layer's parameters."""
        places = range(len(self.blobs)) if self.places is None else self.places
        return dict(zip(places, self.blobs, strict=True))


@dataclass(frozen=True)
class Model:
    """A model file.

    Attributes:
        format: V0, V1, V2 or HDF5.
        name: the net's name; "" in HDF5, which does not store it.
        layers: in the order of the file; HDF5 sorts them by name.
    """

    path: Path
    format: str
    name: str
    layers: tuple[Layer, ...]

    @property
    def with_blobs(self) -> dict[str, Layer]:
        """The layers that have parameters, by name."""
        return {layer.name: layer for layer in self.layers if layer.blobs}


@contextmanager
def open_model(path: Path) -> Iterator[Model]:
    """Open a model for reading; its blobs are valid inside the block.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is truncated or not a model.
    """
    with mapped(path) as buffer:
        yield _read_hdf5(path) if is_hdf5(buffer) else _read_binary(path, buffer)


def _read_binary(path: Path, buffer: memoryview) -> Model:
    found = read_records(path, buffer)
    layers = [Layer(each.name, each.type, tuple(map(as_blob, each.blobs))) for each in found.layers]
    return Model(path, found.format, found.name, tuple(layers))


def as_blob(record: BlobRecord) -> Blob:
    """Return a blob of a binary file, without a copy if its values are contiguous."""
    dtype = np.dtype(f"<f{record.number_bytes}")
    parts = [np.frombuffer(part, dtype) for part in record.parts]
    values = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])
    return Blob(record.shape, values, record.legacy)


def _read_hdf5(path: Path) -> Model:
    with open_hdf5(path, ".caffemodel.h5", "fetch or train it again") as file:
        data = file["data"]
        layers = tuple(_hdf5_layer(name, data[name]) for name in names(data))
        if not layers:
            raise ValueError("it holds no layers")
    return Model(path, "HDF5", "", layers)


def _hdf5_layer(name: str, group: Any) -> Layer:
    places = tuple(sorted(map(int, group)))
    blobs = tuple(hdf5_blob(group[str(index)]) for index in places)
    whole = places == tuple(range(len(places)))
    return Layer(name, "", blobs, None if whole else places)


def hdf5_blob(dataset: Any) -> Blob:
    """Read a dataset of an open HDF5 file."""
    values = read_array(dataset)
    return Blob(values.shape, values.reshape(-1))
