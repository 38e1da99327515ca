"""Locates the layers of a binary model, and their blobs, in the file.

    V0    layers { layer { name type blobs } }      early 2014
    V1    layers { name type blobs }                2014
    V2    layer { name type blobs }                 since 2015

Parameters are not read here, so that cutting and joining models of any size needs neither numpy
nor protobuf, whose import takes longer than copying a CaffeNet.
"""

import errno
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from caffe_transfer.errors import FormatError
from caffe_transfer.formats import wire
from caffe_transfer.formats.wire import Field, WireError
from caffe_transfer.reading import reading

# Field numbers of caffe.proto.
NET_NAME, NET_LAYERS_V1, NET_LAYER = 1, 2, 100
V0_IN_V1 = 1
LAYER_FIELDS = {"V0": (1, 2, 50), "V1": (4, 5, 6), "V2": (1, 2, 7)}  # name, type, blobs
_LEGACY_AXES = (1, 2, 3, 4)  # num, channels, height, width
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_DIM = 1
_NUMBER_BYTES = {_DATA: 4, _DOUBLE_DATA: 8}
_KNOWN_NET_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 100}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_PIECE = 32 << 20  # bytes copied per call


class BlobRecord(NamedTuple):
    """One array of parameters in the file.

    Attributes:
        shape: as stored; (1, 1, 1, n) for the biases of V0 and V1.
        parts: its little-endian numbers: one part, or one per number if they are not packed.
        number_bytes: 4 for float32, 8 for float64.
        legacy: whether the shape is four numbers as before 2015, which fit shapes of fewer axes.
    """

    shape: tuple[int, ...]
    parts: tuple[memoryview, ...]
    number_bytes: int
    legacy: bool = False


class LayerRecord(NamedTuple):
    """A layer in the file.

    Attributes:
        type: as stored: "Convolution" in V2, "CONVOLUTION" in V1, "conv" in V0.
        start, end: `buffer[start:end]` is the layer's message, including its tag.
    """

    name: str
    type: str
    blobs: tuple[BlobRecord, ...]
    start: int
    end: int


class Records(NamedTuple):
    """The layers of a binary model in the order of the file; `format` is V0, V1 or V2."""

    path: Path
    format: str
    name: str
    layers: tuple[LayerRecord, ...]


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Map a file into memory, read-only.

    Raises:
        Incomplete: the file does not exist.
        BadInput: the file cannot be read.
        FormatError: the file is empty.
    """
    remedy = "train or copy it again"
    with (
        reading(path, "a model", remedy, missing="train or copy it first"),
        path.open("rb") as file,
    ):
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Not closed explicitly: that would raise as long as a blob points into the mapping, which is
    # freed with its last view.
    yield memoryview(mapping)


def forget(view: object) -> None:
    """Release the memory of a mapped file's pages; they are read again on the next access.

    Args:
        view: a memoryview of the mapping; anything else is ignored.
    """
    mapping = view.obj if isinstance(view, memoryview) else None
    if isinstance(mapping, mmap.mmap):
        mapping.madvise(mmap.MADV_DONTNEED)


def is_hdf5(buffer: memoryview) -> bool:
    """Whether these are the contents of an HDF5 file."""
    return bytes(buffer[:8]) == _HDF5_MAGIC


def read_records(path: Path, buffer: memoryview) -> Records:
    """Locate the layers of a binary model.

    Args:
        path: for messages and for the result.
        buffer: the contents of the file.

    Raises:
        FormatError: the file is truncated or not a model; names the layer if it lies in one.
    """
    name, form = "", ""
    layers = []
    with reading(path, "a whole .caffemodel", "fetch or train it again"):
        for field in wire.fields(buffer):
            _expect(field.number in _KNOWN_NET_FIELDS, f"field {field.number} is no net's")
            if field.number == NET_NAME:
                name = _text(buffer, field)
            elif field.number in (NET_LAYER, NET_LAYERS_V1):
                form, layer = _read_layer(buffer, field)
                layers.append(layer)
    if not layers:
        raise FormatError(f"{path} is not a .caffemodel: it holds no layers")
    return Records(path, form, name, tuple(layers))


def _read_layer(buffer: memoryview, record: Field) -> tuple[str, LayerRecord]:
    _expect(record.wire_type == wire.BYTES, "a layer is a message")
    form = "V2" if record.number == NET_LAYER else "V1"
    parts = list(wire.fields(buffer, record.value, record.end))
    if form == "V1":
        for part in parts:
            if part.number == V0_IN_V1 and part.wire_type == wire.BYTES:
                form = "V0"
                parts = list(wire.fields(buffer, part.value, part.end))
                break
    name_field, type_field, blobs_field = LAYER_FIELDS[form]
    name, kind, blobs = "", "", []
    for part in parts:
        if part.number == name_field:
            name = _text(buffer, part)
        elif part.number == type_field:
            kind = _v1_type(buffer, part) if form == "V1" else _text(buffer, part)
        elif part.number == blobs_field:
            _expect(part.wire_type == wire.BYTES, f"the blobs of layer {name!r} are messages")
            blobs.append(blob_record(buffer, part, f"layer {name!r}"))
    return form, LayerRecord(name, kind, tuple(blobs), record.start, record.end)


def blob_record(buffer: memoryview, record: Field, owner: str) -> BlobRecord:
    """Locate the values of the BlobProto at `record`.

    Raises:
        WireError: the number of values does not match the shape; names `owner`.
    """
    legacy = [0, 0, 0, 0]
    shape: tuple[int, ...] | None = None
    parts: list[memoryview] = []
    number_bytes = _NUMBER_BYTES[_DATA]
    for part in wire.fields(buffer, record.value, record.end):
        if part.number in _LEGACY_AXES:
            legacy[part.number - 1] = wire.read_varint(buffer, part.value, part.end)[0]
        elif part.number == _SHAPE:
            shape = _shape(buffer, part)
        elif part.number in _NUMBER_BYTES:
            number_bytes = _NUMBER_BYTES[part.number]
            whole = (part.end - part.value) % number_bytes == 0
            _expect(whole, f"{owner} has half a number in a blob")
            parts.append(buffer[part.value : part.end])
    old = shape is None and any(legacy)
    if shape is None:  # Caffe writes none for a single number without axes
        shape = () if parts and not any(legacy) else tuple(legacy)
    count = sum(map(len, parts)) // number_bytes
    _expect(count == math.prod(shape), f"{owner} has {count} values in a blob of shape {shape}")
    return BlobRecord(shape, tuple(parts), number_bytes, old)


def _shape(buffer: memoryview, record: Field) -> tuple[int, ...]:
    """Read a BlobShape, whose integers may or may not be packed."""
    axes = []
    for part in wire.fields(buffer, record.value, record.end):
        position = part.value
        while part.number == _DIM and position < part.end:
            axis, position = wire.read_varint(buffer, position, part.end)
            axes.append(axis)
    return tuple(axes)


def _v1_type(buffer: memoryview, field: Field) -> str:
    # Imported lazily: only V1 models store types as numbers, and the import costs more than a copy.
    from caffe_transfer.formats.proto import caffe_pb2 as pb

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


def same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether two shapes are equal when both are padded to Caffe's legacy four axes."""
    width = max(len(found), len(wanted))
    if width > 4:
        return found == wanted
    return (1,) * (4 - len(found)) + tuple(found) == (1,) * (4 - len(wanted)) + tuple(wanted)


def same_shapes(found: Sequence[tuple[int, ...]], wanted: Sequence[tuple[int, ...]]) -> bool:
    """Whether the shapes of a layer's blobs are those wanted, one by one, as `same_shape` says."""
    return len(found) == len(wanted) and all(map(same_shape, found, wanted))


def net_name(name: str) -> bytes:
    """Return the field with which a binary model begins."""
    encoded = name.encode()
    return wire.delimited(NET_NAME, len(encoded)) + encoded


def copy_records(
    layers: Sequence[LayerRecord], buffer: memoryview, source: BinaryIO, out: BinaryIO
) -> None:
    """Append layers' messages to a file, unchanged.

    Args:
        buffer: the contents of `source`, used where the system cannot copy from file to file.

    Raises:
        OSError: `out` cannot be written; a full disk is detected before anything is written.
    """
    out.flush()
    _reserve(out, sum(layer.end - layer.start for layer in layers))
    for layer in layers:
        if not _copied(source, layer.start, layer.end, out):
            out.write(buffer[layer.start : layer.end])
            out.flush()


def _reserve(out: BinaryIO, length: int) -> None:
    """Reserve disk space, where the system and the file system support it."""
    if not length or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(out.fileno(), out.tell(), length)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _copied(source: BinaryIO, start: int, end: int, out: BinaryIO) -> bool:
    """Let the system copy; returns False, with nothing written, where it cannot."""
    if not hasattr(os, "copy_file_range"):
        return False
    before = at = os.lseek(out.fileno(), 0, os.SEEK_CUR)
    try:
        while start < end:
            length = min(end - start, _PIECE)
            count = os.copy_file_range(source.fileno(), out.fileno(), length, start)
            if not count:
                raise OSError("the source has become shorter")
            # Starts writing to disk now, alongside the copying, instead of at the final sync.
            os.posix_fadvise(out.fileno(), at, count, os.POSIX_FADV_DONTNEED)
            start, at = start + count, at + count
    except OSError:  # across file systems, or not supported by this one
        os.lseek(out.fileno(), before, os.SEEK_SET)
        return False
    return True
