"""Snapshots: .caffemodel and .solverstate files in Caffe's formats."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from torch import Tensor

from caffe_transfer.caffe_torch import glog
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.parameters import as_blob, take
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import SolverState, open_state
from caffe_transfer.formats.writer import check_hdf5_names, write_net, write_state
from caffe_transfer.paths import HDF5_SUFFIX


def set_prefix(solver: pb.SolverParameter, path: Path) -> None:
    """Give a solver's snapshots the name of its file where it names none, or a folder only.

    Caffe's UpgradeSnapshotPrefixProperty (upgrade_proto.cpp).
    """
    given = solver.snapshot_prefix
    if not solver.HasField("snapshot_prefix"):
        solver.snapshot_prefix = str(path.with_suffix(""))
        reason = "was not specified and is set to"
    elif given and Path(given).is_dir():
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
    solver: pb.SolverParameter, net: Net, history: Sequence[Tensor], iteration: int, step: int
) -> None:
    """Write PREFIX_iter_N.caffemodel, then .solverstate; each appears under its name when whole.

    Raises:
        BadInput: the folder cannot be written.
    """
    hdf5 = solver.snapshot_format == pb.SolverParameter.HDF5
    end = HDF5_SUFFIX if hdf5 else ""
    stem = f"{solver.snapshot_prefix}_iter_{iteration}"
    model, state = Path(f"{stem}.caffemodel{end}"), Path(f"{stem}.solverstate{end}")
    kind = "HDF5 file" if hdf5 else "binary proto file"
    glog.info(f"Snapshotting to {kind} {model}", "solver")
    with atomic_write(model) as file:
        write_net(net.settings(), net.blobs(shared=not hdf5), file, hdf5)
    glog.info(f"Snapshotting solver state to {kind} {state}", "sgd_solver")
    with atomic_write(state) as file:
        blobs = tuple(map(as_blob, history))
        write_state(SolverState(iteration, step, blobs, str(model)), file, hdf5)


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
    named = Path(learned_net)
    return named if named.exists() else state.with_name(named.name)
