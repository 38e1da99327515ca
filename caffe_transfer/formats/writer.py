"""Writes models and solver states, binary or HDF5, as Caffe does.

Blobs are encoded here because protobuf would make a Python object of every number.
"""

from collections.abc import Sequence
from typing import BinaryIO

import h5py
import numpy as np

from caffe_transfer.formats import wire
from caffe_transfer.formats.caffemodel import Blob, Layer
from caffe_transfer.formats.layer_records import net_name
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import SolverState


def write_model(name: str, layers: Sequence[Layer], file: BinaryIO, hdf5: bool = False) -> None:
    """Write a model in format V2.

    Args:
        name: the net's name, which HDF5 files do not store.
        file: open for writing, and for reading too if `hdf5`.
    """
    if hdf5:
        _write_model_hdf5(layers, file)
        return
    file.write(net_name(name))
    for layer in layers:
        _write_layer(layer, file)


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


def _write_layer(layer: Layer, file: BinaryIO) -> None:
    message = pb.LayerParameter(name=layer.name, type=layer.type)
    blobs = [_blob_record(blob) for blob in layer.blobs]
    field = pb.LayerParameter.BLOBS_FIELD_NUMBER
    parts = [message.SerializeToString()]
    parts += [wire.delimited(field, len(blob)) + blob for blob in blobs]
    length = sum(map(len, parts))
    file.write(wire.delimited(pb.NetParameter.LAYER_FIELD_NUMBER, length))
    file.writelines(parts)


def _blob_record(blob: Blob) -> bytes:
    double = blob.values.dtype == np.float64
    field = pb.BlobProto.DOUBLE_DATA_FIELD_NUMBER if double else pb.BlobProto.DATA_FIELD_NUMBER
    shape = pb.BlobProto(shape=pb.BlobShape(dim=blob.shape)).SerializeToString()
    return shape + wire.delimited(field, blob.values.nbytes) + blob.tobytes()


def _write_model_hdf5(layers: Sequence[Layer], file: BinaryIO) -> None:
    with h5py.File(file, "w") as hdf5:
        data = hdf5.create_group("data")
        for layer in layers:
            group = data.create_group(layer.name)
            for index, blob in enumerate(layer.blobs):
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
