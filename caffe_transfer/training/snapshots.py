"""Snapshots: pairs of PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate.

Beside each of caffe-torch's states lies its resume file, which comes and goes with its pair.

Caffe writes the two in turn under their final names, so that the newest pair of a run that was
killed may be incomplete.  It never removes any: `keep_newest` and `keep_model` do.
"""

import itertools
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.files import sync
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.solverstate import open_state
from caffe_transfer.paths import RESUME_SUFFIX, resume_file

KEPT_PAIRS = 2  # of a network in training: the newest, and one to fall back on
# Most of a resume file of a net with a data layer for each phase: its generators have 20 KB.
RESUME_BYTES = 32 << 10
# A pair is looked at when nothing was written to it for so long: while this process has an HDF5
# file open, the library keeps the engine from opening it.
SETTLED_SECONDS = 2.0
_MODEL = re.compile(r"(?P<stem>.+_iter_(?P<iteration>\d+))\.caffemodel(?P<hdf5>\.h5)?")
_FILE = re.compile(
    r"(?P<prefix>.+)_iter_(?P<iteration>\d+)\."
    rf"(caffemodel(\.h5)?|solverstate(\.h5)?({re.escape(RESUME_SUFFIX)})?)"
)


@dataclass(frozen=True)
class Snapshot:
    """The model and the solver state of one iteration."""

    iteration: int
    model: Path
    state: Path

    @property
    def files(self) -> list[Path]:
        """Both, and the state's resume file if there is one."""
        resume = resume_file(self.state)
        return [self.model, self.state, *([resume] if resume.exists() else [])]


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


def keep_newest(prefix: Path) -> None:
    """Remove all snapshots of a network in training that are older than its newest two pairs.

    Nothing is removed before both are complete and on the disk.

    Args:
        prefix: of the snapshots' paths, as the solver has it.

    Raises:
        OSError: a file cannot be synced or removed.
    """
    files = _files(prefix)
    if len({iteration for iteration, _ in files}) <= KEPT_PAIRS:
        return
    mine = {path for _, path in files}
    # A pair is written after the one before: only of the newest does a clock, which may be wrong,
    # say whether it is.
    newest = max(iteration for iteration, _ in files)
    settled = (
        pair
        for pair in snapshots(prefix.parent)
        if pair.model in mine and (pair.iteration < newest or _is_settled(pair))
    )
    kept = list(itertools.islice(filter(is_complete, settled), KEPT_PAIRS))
    if len(kept) == KEPT_PAIRS:
        oldest = kept[-1].iteration
        sync(*(path for pair in kept for path in pair.files))
        _remove(path for iteration, path in files if iteration < oldest)


def keep_model(prefix: Path, model: Path) -> None:
    """Remove all snapshots of a trained network but its last model.

    Args:
        prefix: of the snapshots' paths, as the solver has it.
        model: must be complete and on the disk.

    Raises:
        OSError: a file cannot be removed.
    """
    _remove(path for _, path in _files(prefix) if path != model)


def _files(prefix: Path) -> list[tuple[int, Path]]:
    """The files of all snapshots of one prefix, with their iterations."""
    found = ((_FILE.fullmatch(path.name), path) for path in prefix.parent.glob("*_iter_*"))
    return [
        (int(match["iteration"]), path)
        for match, path in found
        if match and match["prefix"] == prefix.name
    ]


def _is_settled(pair: Snapshot) -> bool:
    return time.time() - pair.state.stat().st_mtime >= SETTLED_SECONDS


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
