"""Writes models and solver states, binary or HDF5, as Caffe does.

Blobs are encoded here because protobuf would make a Python object of every number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import h5py
import numpy as np

from caffe_transfer.errors import BadInput
from caffe_transfer.formats import wire
from caffe_transfer.formats.caffemodel import Blob, Layer
from caffe_transfer.formats.layer_records import net_name
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import SolverState


def write_model(name: str, layers: Sequence[Layer], file: BinaryIO, hdf5: bool = False) -> None:
    """Write a model in format V2 that has no settings of layers.

    Args:
        name: the net's name, which HDF5 files do not store.
        file: open for writing, and for reading too if `hdf5`.
    """
    settings = pb.NetParameter(name=name)
    for layer in layers:
        settings.layer.add(name=layer.name, type=layer.type)
    write_net(settings, [layer.by_index for layer in layers], file, hdf5)


def write_net(
    settings: pb.NetParameter, blobs: Sequence[Mapping[int, Blob]], file: BinaryIO,
    hdf5: bool = False,
) -> None:  # fmt: skip
    """Write a net with its parameters as Caffe does (Net::ToProto, Net::ToHDF5).

    Args:
        settings: name and layers, without blobs; HDF5 files keep the names of the layers only.
        blobs: of each layer, by their indices; binary files need all of them.
        file: open for writing, and for reading too if `hdf5`.

    Raises:
        BadInput: HDF5 cannot hold the names of the layers.
    """
    if hdf5:
        check_hdf5_names([layer.name for layer in settings.layer])
        _write_model_hdf5(settings, blobs, file)
        return
    file.write(net_name(settings.name))
    for layer, own in zip(settings.layer, blobs, strict=True):
        _write_layer(layer, list(own.values()), file)


def check_hdf5_names(names: Sequence[str]) -> None:
    """Check that an HDF5 file can have a group for each layer.

    Raises:
        BadInput: two layers have one name, or a name holds a slash; names the layer.
    """
    counts = Counter(names)
    for name in counts:
        if counts[name] > 1:
            raise BadInput(
                f"{counts[name]} layers have the name {name!r}, and HDF5 files take one; rename "
                "them or write a binary model (snapshot_format: BINARYPROTO)"
            )
        if "/" in name:
            raise BadInput(
                f"HDF5 files take no layer name with a slash, as {name!r} has; rename the layer "
                "or write a binary model (snapshot_format: BINARYPROTO)"
            )


def write_state(state: SolverState, file: BinaryIO, hdf5: bool = False) -> None:
    """Write a solver state; `file` must be open for reading too if `hdf5`."""
    if hdf5:
        _write_state_hdf5(state, file)
        return
    head = pb.SolverState(iter=state.iteration, learned_net=state.learned_net)
    file.write(head.SerializeToString())
    field = pb.SolverState.HISTORY_FIELD_NUMBER
    for blob in state.history:
        record = _blob_record(blob)
        file.write(wire.delimited(field, len(record)) + record)
    file.write(pb.SolverState(current_step=state.current_step).SerializeToString())


def _write_layer(layer: pb.LayerParameter, blobs: Sequence[Blob], file: BinaryIO) -> None:
    field = pb.LayerParameter.BLOBS_FIELD_NUMBER
    head, tail = around(layer.SerializeToString(), field)
    parts = [head]
    for blob in blobs:
        record = _blob_record(blob)
        parts += [wire.delimited(field, len(record)), record]
    parts.append(tail)
    length = sum(map(len, parts))
    file.write(wire.delimited(pb.NetParameter.LAYER_FIELD_NUMBER, length))
    file.writelines(parts)


def around(message: bytes, number: int) -> tuple[bytes, bytes]:
    """A message's fields before and after those of a number, all in the order of their numbers."""
    fields = wire.fields(memoryview(message))
    split = next((field.start for field in fields if field.number > number), len(message))
    return message[:split], message[split:]


def _blob_record(blob: Blob) -> bytes:
    double = blob.values.dtype == np.float64
    field = pb.BlobProto.DOUBLE_DATA_FIELD_NUMBER if double else pb.BlobProto.DATA_FIELD_NUMBER
    # A single number has no axes, and Caffe then writes no shape.
    axes = pb.BlobProto(shape=pb.BlobShape(dim=blob.shape)) if blob.shape else pb.BlobProto()
    shape = axes.SerializeToString()
    data = wire.delimited(field, blob.values.nbytes) + blob.tobytes()
    return shape + data if double else data + shape  # in the order of their field numbers


def _write_model_hdf5(
    settings: pb.NetParameter, blobs: Sequence[Mapping[int, Blob]], file: BinaryIO
) -> None:
    with h5py.File(file, "w") as hdf5:
        data = hdf5.create_group("data")
        for layer, own in zip(settings.layer, blobs, strict=True):
            group = data.create_group(layer.name)
            for index, blob in own.items():
                group[str(index)] = blob.values.reshape(blob.shape)


def _write_state_hdf5(state: SolverState, file: BinaryIO) -> None:
    with h5py.File(file, "w") as hdf5:
        for key, value in (("iter", state.iteration), ("current_step", state.current_step)):
            hdf5[key] = np.array([value], np.int32)
        # Caffe reads only strings of fixed length that end with a zero.
        name = state.learned_net.encode()
        hdf5["learned_net"] = np.array(name, f"S{len(name) + 1}")
        history = hdf5.create_group("history")
        for index, blob in enumerate(state.history):
            history[str(index)] = blob.values.reshape(blob.shape)
