"""Solver states (.solverstate, .solverstate.h5): what a solver needs besides weights to resume."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_transfer.formats import wire
from caffe_transfer.formats.binary import merge_binary
from caffe_transfer.formats.caffemodel import Blob, as_blob, hdf5_blob
from caffe_transfer.formats.hdf5 import open_hdf5
from caffe_transfer.formats.layer_records import blob_record, is_hdf5, mapped
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.reading import reading

_REMEDY = "resume from an older snapshot"


@dataclass(frozen=True)
class SolverState:
    """The state of a solver besides the weights.

    Attributes:
        iteration: number of iterations completed.
        current_step: number of learning-rate steps taken (policies step and multistep).
        history: momentum and the like, one blob per learnable parameter (two for Adam and
            AdaDelta).
        learned_net: path of the model file that was written with this state.
    """

    iteration: int
    current_step: int
    history: tuple[Blob, ...]
    learned_net: str


@contextmanager
def open_state(path: Path) -> Iterator[SolverState]:
    """Open a solver state, binary or HDF5; its blobs are valid inside the block.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is truncated or not a solver state.
    """
    with mapped(path) as buffer:
        yield _read_hdf5(path) if is_hdf5(buffer) else _read_binary(path, buffer)


def _read_binary(path: Path, buffer: memoryview) -> SolverState:
    history: list[Blob] = []
    message = pb.SolverState()
    with reading(path, "a whole .solverstate", _REMEDY):
        for field in wire.fields(buffer):
            if field.number == pb.SolverState.HISTORY_FIELD_NUMBER:
                history.append(as_blob(blob_record(buffer, field, f"history {len(history)}")))
            else:
                merge_binary(message, bytes(buffer[field.start : field.end]))
        if not (message.HasField("iter") and message.HasField("current_step")):
            raise ValueError("its last field is missing")
    return SolverState(message.iter, message.current_step, tuple(history), message.learned_net)


def _read_hdf5(path: Path) -> SolverState:
    with open_hdf5(path, ".solverstate.h5", _REMEDY) as file:
        group = file["history"]
        history = tuple(hdf5_blob(group[str(index)]) for index in range(len(group)))
        iteration, step = (int(np.asarray(file[key]).item()) for key in ("iter", "current_step"))
        learned = file["learned_net"][()]
        name = learned.decode() if isinstance(learned, bytes) else str(learned)
    return SolverState(iteration, step, history, name)
