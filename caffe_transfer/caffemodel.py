"""Network parameters in every format that Caffe ever wrote, read without Caffe.

    V0    layers { layer { name type blobs } }      binary, early 2014
    V1    layers { name type blobs }                binary, 2014
    V2    layer { name type blobs }                 binary, since 2015
    HDF5  /data/<layer>/<index>                     snapshot_format: HDF5

Binary files are memory-mapped, and only the blobs that are asked for are touched.
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from caffe_transfer import wire
from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.proto import caffe_pb2 as pb
from caffe_transfer.wire import Field, WireError

Floats = npt.NDArray[np.float32]

# Field numbers of caffe.proto.
NET_NAME, NET_LAYERS_V1, NET_LAYER = 1, 2, 100
V0_IN_V1 = 1
_LAYER_FIELDS = {"V0": (1, 2, 50), "V1": (4, 5, 6), "V2": (1, 2, 7)}  # name, type, blobs
_LEGACY_AXES = (1, 2, 3, 4)  # num, channels, height, width
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_KNOWN_NET_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 100}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


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
        record: the layer as the binary file holds it, tag included; empty in HDF5.
    """

    name: str
    type: str
    blobs: tuple[Blob, ...]
    record: memoryview = memoryview(b"")  # noqa: RUF009  (immutable)
    start: int = 0


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


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """A file's bytes, memory-mapped and read-only.

    Raises:
        Incomplete: there is no such file.
        FormatError: it is empty or cannot be read.
    """
    try:
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise Incomplete(f"there is no file {path}; train or copy it first") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot read {path} as a model: {error}") from error
    # Not closed by hand: a blob may still point into it, and closing would raise; the mapping
    # goes with its last view.
    yield memoryview(mapping)


def is_hdf5(buffer: memoryview) -> bool:
    """Whether a file's bytes are those of an HDF5 file."""
    return bytes(buffer[:8]) == _HDF5_MAGIC


def _read_binary(path: Path, buffer: memoryview) -> Model:
    name, form = "", ""
    layers = []
    try:
        for field in wire.fields(buffer):
            _expect(field.number in _KNOWN_NET_FIELDS, f"field {field.number} is no net's")
            if field.number == NET_NAME:
                name = _text(buffer, field)
            elif field.number in (NET_LAYER, NET_LAYERS_V1):
                form, layer = _read_layer(buffer, field)
                layers.append(layer)
    except (WireError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path} is not a whole .caffemodel: {error}; fetch or train it again"
        ) from error
    if not layers:
        raise FormatError(f"{path} is not a .caffemodel: it holds no layers")
    return Model(path, form, name, tuple(layers))


def _read_layer(buffer: memoryview, record: Field) -> tuple[str, Layer]:
    _expect(record.wire_type == wire.BYTES, "a layer is a message")
    form = "V2" if record.number == NET_LAYER else "V1"
    parts = list(wire.fields(buffer, record.value, record.end))
    if form == "V1":
        for part in parts:
            if part.number == V0_IN_V1 and part.wire_type == wire.BYTES:
                form = "V0"
                parts = list(wire.fields(buffer, part.value, part.end))
                break
    name_field, type_field, blobs_field = _LAYER_FIELDS[form]
    name, kind, blobs = "", "", []
    for part in parts:
        if part.number == name_field:
            name = _text(buffer, part)
        elif part.number == type_field:
            kind = _v1_type(buffer, part) if form == "V1" else _text(buffer, part)
        elif part.number == blobs_field:
            _expect(part.wire_type == wire.BYTES, f"the blobs of layer {name!r} are messages")
            blobs.append(read_blob(buffer, part, f"layer {name!r}"))
    whole = buffer[record.start : record.end]
    return form, Layer(name, kind, tuple(blobs), whole, record.start)


def read_blob(buffer: memoryview, record: Field, owner: str) -> Blob:
    """The BlobProto at `record`.

    Raises:
        WireError: its values do not fill its shape; `owner` is named.
    """
    legacy = [0, 0, 0, 0]
    shape: tuple[int, ...] | None = None
    chunks: list[npt.NDArray[Any]] = []
    dtype: np.dtype[Any] = np.dtype("<f4")
    for part in wire.fields(buffer, record.value, record.end):
        if part.number in _LEGACY_AXES:
            legacy[part.number - 1] = wire.read_varint(buffer, part.value, part.end)[0]
        elif part.number == _SHAPE:
            shape = _shape(buffer, part)
        elif part.number in (_DATA, _DOUBLE_DATA):
            dtype = np.dtype("<f4" if part.number == _DATA else "<f8")
            size = part.end - part.value
            _expect(size % dtype.itemsize == 0, f"{owner} has half a number in a blob")
            chunks.append(np.frombuffer(buffer[part.value : part.end], dtype))
    if shape is None:
        shape = tuple(legacy)
    values = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, dtype), *chunks])
    count = int(np.prod(shape, dtype=np.int64))
    _expect(len(values) == count, f"{owner} has {len(values)} values in a blob of shape {shape}")
    return Blob(shape, values)


def _shape(buffer: memoryview, record: Field) -> tuple[int, ...]:
    message = pb.BlobShape()
    message.ParseFromString(bytes(buffer[record.value : record.end]))
    return tuple(message.dim)


def _v1_type(buffer: memoryview, field: Field) -> str:
    number = wire.read_varint(buffer, field.value, field.end)[0]
    try:
        return pb.V1LayerParameter.LayerType.Name(number)
    except ValueError as error:
        raise WireError(f"there is no layer type {number}") from error


def _text(buffer: memoryview, field: Field) -> str:
    _expect(field.wire_type == wire.BYTES, f"field {field.number} is a text")
    return bytes(buffer[field.value : field.end]).decode()


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise WireError(message)


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
