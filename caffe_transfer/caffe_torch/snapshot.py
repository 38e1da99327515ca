"""Snapshots: .caffemodel and .solverstate files in Caffe's formats, and resume files."""

import hashlib
import os
from collections.abc import Sequence
from io import BufferedRandom
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from torch import Tensor

from caffe_transfer.caffe_torch import glog
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.parameters import as_blob, take
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Kept, Resume
from caffe_transfer.formats.resume import read as read_resume
from caffe_transfer.formats.resume import write as write_resume
from caffe_transfer.formats.solverstate import SolverState, open_state
from caffe_transfer.formats.writer import check_hdf5_names, write_net, write_state
from caffe_transfer.paths import HDF5_SUFFIX, resume_file


def set_prefix(solver: pb.SolverParameter, path: Path) -> None:
    """Give a solver's snapshots the name of its file where it names none, or a folder only.

    Caffe's UpgradeSnapshotPrefixProperty (upgrade_proto.cpp).
    """
    given = solver.snapshot_prefix
    if not solver.HasField("snapshot_prefix"):
        solver.snapshot_prefix = str(path.with_suffix(""))
        reason = "was not specified and is set to"
    elif given and os.path.isdir(given):
        solver.snapshot_prefix = str(Path(given) / path.stem)
        reason = "was a directory and is replaced to"
    else:
        return
    glog.info(f"snapshot_prefix {reason} {solver.snapshot_prefix}", "upgrade_proto")


def check_prefix(solver: pb.SolverParameter, net: Net) -> None:
    """Check that snapshots can be written: that their folder is there and takes files, and names.

    Raises:
        BadInput: they cannot; says why.
    """
    if solver.snapshot_format == pb.SolverParameter.HDF5:
        check_hdf5_names([layer.param.name for layer in net.layers])
    folder = Path(f"{solver.snapshot_prefix}_iter_0").parent
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(
            f"snapshots of prefix {solver.snapshot_prefix!r} cannot be written into {folder}: "
            f"{error.strerror}; create the folder, or correct snapshot_prefix"
        ) from error


def save(
    solver: pb.SolverParameter, net: Net, history: Sequence[Tensor], iteration: int, step: int,
    kept: Kept,
) -> None:  # fmt: skip
    """Write PREFIX_iter_N.caffemodel, .solverstate and the state's resume file.

    The state appears last: a pair is there with its resume file, or not at all.

    Raises:
        BadInput: the folder cannot be written.
    """
    hdf5 = solver.snapshot_format == pb.SolverParameter.HDF5
    end = HDF5_SUFFIX if hdf5 else ""
    stem = f"{solver.snapshot_prefix}_iter_{iteration}"
    model, state = Path(f"{stem}.caffemodel{end}"), Path(f"{stem}.solverstate{end}")
    kind = "HDF5 file" if hdf5 else "binary proto file"
    # The last to be opened is the first to get its name.
    with (
        atomic_write(state) as of_state,
        atomic_write(resume_file(state)) as of_resume,
        atomic_write(model) as of_model,
    ):
        glog.info(f"Snapshotting to {kind} {model}", "solver")
        write_net(net.settings(), net.blobs(shared=not hdf5), of_model, hdf5)
        glog.info(f"Snapshotting solver state to {kind} {state}", "sgd_solver")
        blobs = tuple(map(as_blob, history))
        write_state(SolverState(iteration, step, blobs, str(model)), of_state, hdf5)
        write_resume(Resume(_sha256(of_model), _sha256(of_state), kept), of_resume)
        state.unlink(missing_ok=True)  # of a training before, whose model is about to go


def _sha256(file: BinaryIO) -> str:
    """The hash of what was written into a file."""
    file.flush()
    file.seek(0)
    return hashlib.file_digest(cast(BufferedRandom, file), "sha256").hexdigest()


def kept_beside(path: Path) -> Kept | str:
    """What was kept with a solver state, or the reason why nothing can be used.

    Raises:
        BadResume: its resume file is broken.
        Incomplete, FormatError: the state or its model is missing or broken.
    """
    file = resume_file(path)
    found = read_resume(file)
    if found is None:
        return f"there is no {file}"
    with open_state(path) as state:
        model = _beside(path, state.learned_net)
    if not model.is_file() or (found.model, found.state) != (sha256(model), sha256(path)):
        return f"{file} was written with another state"
    return found.kept


def load_weights(net: Net, path: Path) -> None:
    """Load a model's parameters by layer name.

    Raises:
        Incomplete, FormatError: the model is missing or broken.
        BadInput: a shape differs.
    """
    with open_model(path) as model:
        net.load(model, lambda text: glog.info(text, "net"))


def restore(path: Path, net: Net, history: Sequence[Tensor]) -> tuple[int, int]:
    """Load parameters and history from a solver state; return its iteration and step.

    Raises:
        Incomplete, FormatError: the state or its model is missing or broken.
        BadInput: the state is of another net or another type of solver.
    """
    with open_state(path) as state:
        if len(state.history) != len(history):
            raise BadInput(
                f"{path} has {len(state.history)} blobs of history and this solver "
                f"{len(history)}; it is of another net or another type of solver"
            )
        for index, (own, given) in enumerate(zip(history, state.history, strict=True)):
            if not same_shape(given.shape, tuple(own.shape)):
                raise BadInput(
                    f"history {index} of {path} has the shape {given.shape}, not "
                    f"{tuple(own.shape)}; it is of another net"
                )
        if state.learned_net:
            load_weights(net, _beside(path, state.learned_net))
        if path.suffix != HDF5_SUFFIX:  # of these Caffe does not say it
            glog.info("SGDSolver: restoring history", "sgd_solver")
        for own, given in zip(history, state.history, strict=True):
            take(own, given)
        return state.iteration, state.current_step


def _beside(state: Path, learned_net: str) -> Path:
    """The model that the state names, or if that is gone, its namesake beside the state."""
    # os.path, since it takes a name that is too long for one that is not there.
    named = Path(learned_net)
    return named if os.path.exists(named) else state.with_name(named.name)
