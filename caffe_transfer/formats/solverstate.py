"""Solver states (.solverstate): what a solver remembers beside the weights, binary or HDF5."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from google.protobuf.message import DecodeError

from caffe_transfer.errors import FormatError
from caffe_transfer.formats import wire
from caffe_transfer.formats.caffemodel import Blob, as_blob, hdf5_blob
from caffe_transfer.formats.layer_records import blob_record, is_hdf5, mapped
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import WireError


@dataclass(frozen=True)
class SolverState:
    """What a solver remembers beside the weights.

    Attributes:
        iteration: iterations done.
        current_step: steps of the learning rate taken (policies step and multistep).
        history: momentum and the like, a blob a learnable parameter (Adam, AdaDelta: two).
        learned_net: the model file written with it.
    """

    iteration: int
    current_step: int
    history: tuple[Blob, ...]
    learned_net: str


@contextmanager
def open_state(path: Path) -> Iterator[SolverState]:
    """Read a solverstate, binary or HDF5; its blobs die with the block.

    Raises:
        Incomplete: there is no such file.
        FormatError: the file is cut off or is no solverstate.
    """
    with mapped(path) as buffer:
        yield _read_hdf5(path) if is_hdf5(buffer) else _read_binary(path, buffer)


def _read_binary(path: Path, buffer: memoryview) -> SolverState:
    history: list[Blob] = []
    message = pb.SolverState()
    try:
        for field in wire.fields(buffer):
            if field.number == pb.SolverState.HISTORY_FIELD_NUMBER:
                history.append(as_blob(blob_record(buffer, field, f"history {len(history)}")))
            else:
                message.MergeFromString(bytes(buffer[field.start : field.end]))
    except (WireError, DecodeError) as error:
        raise _not_whole(path, error) from error
    if not (message.HasField("iter") and message.HasField("current_step")):
        raise _not_whole(path, "its last field is missing")
    return SolverState(message.iter, message.current_step, tuple(history), message.learned_net)


def _read_hdf5(path: Path) -> SolverState:
    try:
        with h5py.File(path) as file:
            group = file["history"]
            history = tuple(hdf5_blob(group[str(index)]) for index in range(len(group)))
            numbers = (np.asarray(file[key]).item() for key in ("iter", "current_step"))
            iteration, step = map(int, numbers)
            learned = file["learned_net"][()]
    except (OSError, KeyError, AttributeError) as error:
        raise _not_whole(path, error) from error
    name = learned.decode() if isinstance(learned, bytes) else str(learned)
    return SolverState(iteration, step, history, name)


def _not_whole(path: Path, reason: object) -> FormatError:
    return FormatError(
        f"{path} is not a whole .solverstate: {reason}; resume from an older snapshot"
    )
