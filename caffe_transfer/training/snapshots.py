"""Snapshots: pairs of PREFIX_iter_N.caffemodel and .solverstate, and which of them are whole.

Caffe writes the two one after the other under their final names, so that a killed run can leave
the newest pair cut off.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from google.protobuf.message import DecodeError

from caffe_transfer.errors import CaffeTransferError, FormatError
from caffe_transfer.formats import wire
from caffe_transfer.formats.caffemodel import Blob, as_blob, hdf5_blob, open_model
from caffe_transfer.formats.layer_records import blob_record, is_hdf5, mapped
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.wire import WireError

_MODEL = re.compile(r"(?P<stem>.+_iter_(?P<iteration>\d+))\.caffemodel(?P<hdf5>\.h5)?")


@dataclass(frozen=True)
class Snapshot:
    """The two files of one iteration."""

    iteration: int
    model: Path
    state: Path


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


def snapshots(folder: Path) -> list[Snapshot]:
    """All pairs in `folder`, newest first, whole or not."""
    found = []
    for path in folder.glob("*_iter_*.caffemodel*"):
        if match := _MODEL.fullmatch(path.name):
            state = path.with_name(f"{match['stem']}.solverstate{match['hdf5'] or ''}")
            if state.exists():
                found.append(Snapshot(int(match["iteration"]), path, state))
    return sorted(found, key=lambda pair: pair.iteration, reverse=True)


def newest_complete(folder: Path) -> Snapshot | None:
    """The newest pair of which both files are whole and belong together."""
    return next((pair for pair in snapshots(folder) if is_complete(pair)), None)


def is_complete(pair: Snapshot) -> bool:
    """Whether both files are whole.

    A file that was cut between two records still reads well; then the history does not fit the
    model's parameters, or the state lacks its last field.
    """
    try:
        with open_model(pair.model) as model, open_state(pair.state) as state:
            shapes = sorted(blob.shape for layer in model.layers for blob in layer.blobs)
            kept = sorted(blob.shape for blob in state.history)
            fits = kept in (shapes, sorted(2 * shapes))  # twice: Adam and AdaDelta
            return fits and state.iteration == pair.iteration
    except CaffeTransferError:
        return False


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
