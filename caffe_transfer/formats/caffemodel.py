"""Network parameters in every format that Caffe ever wrote, read without Caffe.

Binary files (V0, V1, V2: layer_records.py) are memory-mapped, and only the blobs that are asked
for are touched.  HDF5 files (snapshot_format: HDF5) hold /data/<layer>/<index>.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.layer_records import BlobRecord, is_hdf5, mapped, read_records


@dataclass(frozen=True)
class Blob:
    """One array of parameters.

    Attributes:
        shape: as the file gives it; (1, 1, 1, n) for the biases of V0 and V1.
        values: float32 (float64 where the file holds doubles), flat, in C order; a view of the
            file as long as the model is open.
    """

    shape: tuple[int, ...]
    values: npt.NDArray[Any]

    def tobytes(self) -> bytes:
        """The raw little-endian numbers."""
        return self.values.tobytes()


@dataclass(frozen=True)
class Layer:
    """A layer's parameters.

    Attributes:
        type: "Convolution", or in V0 and V1 files their names, "conv" and "CONVOLUTION";
            "" in HDF5, which does not keep it.
    """

    name: str
    type: str
    blobs: tuple[Blob, ...]


@dataclass(frozen=True)
class Model:
    """A model file: `format` is V0, V1, V2 or HDF5; layers in the file's order."""

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
    """Read a model; its blobs are views of the file and die with the block.

    Raises:
        Incomplete: there is no such file.
        FormatError: the file is cut off or is no model.
    """
    with mapped(path) as buffer:
        yield _read_hdf5(path) if is_hdf5(buffer) else _read_binary(path, buffer)


def _read_binary(path: Path, buffer: memoryview) -> Model:
    found = read_records(path, buffer)
    layers = [Layer(each.name, each.type, tuple(map(as_blob, each.blobs))) for each in found.layers]
    return Model(path, found.format, found.name, tuple(layers))


def as_blob(record: BlobRecord) -> Blob:
    """A blob of a binary file, its values a view of the file where they lie together."""
    dtype = np.dtype(f"<f{record.number_bytes}")
    parts = [np.frombuffer(part, dtype) for part in record.parts]
    values = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])
    return Blob(record.shape, values)


def _read_hdf5(path: Path) -> Model:
    try:
        with h5py.File(path) as file:
            layers = tuple(
                Layer(name, "", tuple(hdf5_blob(group[str(i)]) for i in range(len(group))))
                for name, group in file["data"].items()
            )
    except (OSError, KeyError, AttributeError) as error:
        raise FormatError(
            f"{path} is not a whole .caffemodel.h5: {error}; fetch or train it again"
        ) from error
    return Model(path, "HDF5", "", layers)


def hdf5_blob(dataset: Any) -> Blob:
    """A data set of an HDF5 file as a blob."""
    return Blob(tuple(dataset.shape), np.asarray(dataset).reshape(-1))
