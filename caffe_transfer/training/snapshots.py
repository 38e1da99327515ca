"""Snapshots: pairs of PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate.

Caffe writes the two in turn under their final names, so that the newest pair of a run that was
killed may be incomplete.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.solverstate import open_state

_MODEL = re.compile(r"(?P<stem>.+_iter_(?P<iteration>\d+))\.caffemodel(?P<hdf5>\.h5)?")


@dataclass(frozen=True)
class Snapshot:
    """The model and the solver state of one iteration."""

    iteration: int
    model: Path
    state: Path


def snapshots(folder: Path) -> list[Snapshot]:
    """Return all pairs in `folder`, newest first, complete or not."""
    found = []
    for path in folder.glob("*_iter_*.caffemodel*"):
        if match := _MODEL.fullmatch(path.name):
            state = path.with_name(f"{match['stem']}.solverstate{match['hdf5'] or ''}")
            if state.exists():
                found.append(Snapshot(int(match["iteration"]), path, state))
    return sorted(found, key=lambda pair: pair.iteration, reverse=True)


def newest_complete(folder: Path) -> Snapshot | None:
    """Return the newest complete pair in `folder`, or None."""
    return next((pair for pair in snapshots(folder) if is_complete(pair)), None)


def is_complete(pair: Snapshot) -> bool:
    """Whether both files are complete and belong together.

    A file that was cut between two records is still readable; then the history does not match the
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
