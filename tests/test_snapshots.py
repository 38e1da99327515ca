"""Snapshot pairs: which of them are whole."""

import os
import shutil
import time
from pathlib import Path

import pytest

from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import open_state
from caffe_transfer.training import snapshots as of_training
from caffe_transfer.training.snapshots import (
    is_complete,
    keep_newest,
    newest_complete,
    snapshots,
)
from caffe_transfer.training.train import train_network
from tests.models import LAYERS, write_model
from tests.small_study import SmallRun


def write_pair(folder: Path, iteration: int) -> None:
    arrays = write_model(folder / f"net_iter_{iteration}.caffemodel")
    state = pb.SolverState(iter=iteration, learned_net="x", current_step=0)
    for name in LAYERS:
        for array in arrays[name]:
            state.history.add(shape=pb.BlobShape(dim=array.shape), data=array.ravel())
    (folder / f"net_iter_{iteration}.solverstate").write_bytes(state.SerializeToString())


def test_newest_first_by_number(tmp_path: Path) -> None:
    for iteration in (900, 1000, 50):
        write_pair(tmp_path, iteration)
    assert [pair.iteration for pair in snapshots(tmp_path)] == [1000, 900, 50]
    newest = newest_complete(tmp_path)
    assert newest is not None
    assert newest.iteration == 1000
    assert newest_complete(tmp_path / "none") is None


@pytest.mark.parametrize("ending", ["caffemodel", "solverstate"])
def test_every_cut_of_the_newest_pair_leads_to_the_one_before(tmp_path: Path, ending: str) -> None:
    write_pair(tmp_path, 10)
    write_pair(tmp_path, 20)
    newest = tmp_path / f"net_iter_20.{ending}"
    whole = newest.read_bytes()
    for cut in range(len(whole)):
        newest.write_bytes(whole[:cut])
        found = newest_complete(tmp_path)
        assert found is not None
        assert found.iteration == 10, cut


@pytest.mark.parametrize("seconds", [-1e8, 1e8])
def test_old_pairs_go_whatever_the_clock_of_the_files_says(tmp_path: Path, seconds: float) -> None:
    for iteration in (10, 20, 30, 40):
        write_pair(tmp_path, iteration)
    then = time.time() + seconds
    for path in tmp_path.iterdir():
        os.utime(path, (then, then))
    keep_newest(tmp_path / "net")
    left = [pair.iteration for pair in snapshots(tmp_path)]
    # Of the newest alone it matters whether it may still be written.
    assert left == ([40, 30] if seconds < 0 else [40, 30, 20])


def test_resume_files_go_with_their_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_training, "SETTLED_SECONDS", -1)
    for iteration in (10, 20, 30, 40):
        write_pair(tmp_path, iteration)
        if iteration != 40:  # Caffe's have none
            (tmp_path / f"net_iter_{iteration}.solverstate.resume").touch()
    (tmp_path / "net_iter_5.solverstate.h5.resume").touch()
    (tmp_path / "net_iter_5.resume").touch()  # of something else
    assert [len(pair.files) for pair in snapshots(tmp_path)] == [2, 3, 3, 3]
    keep_newest(tmp_path / "net")
    assert {path.name for path in tmp_path.iterdir()} == {
        "net_iter_40.caffemodel", "net_iter_40.solverstate", "net_iter_30.caffemodel",
        "net_iter_30.solverstate", "net_iter_30.solverstate.resume", "net_iter_5.resume",
    }  # fmt: skip
    of_training.keep_model(tmp_path / "net", tmp_path / "net_iter_40.caffemodel")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"net_iter_40.caffemodel", "net_iter_5.resume"}


def test_pairs_that_do_not_belong_together(tmp_path: Path) -> None:
    write_pair(tmp_path, 10)
    shutil.copy(tmp_path / "net_iter_10.solverstate", tmp_path / "net_iter_30.solverstate")
    shutil.copy(tmp_path / "net_iter_10.caffemodel", tmp_path / "net_iter_30.caffemodel")
    (tmp_path / "net_iter_40.caffemodel").touch()
    assert [pair.iteration for pair in snapshots(tmp_path)] == [30, 10]
    assert [is_complete(pair) for pair in snapshots(tmp_path)] == [False, True]


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_snapshots_of_real_caffe(small_run: SmallRun, form: str, kind: str) -> None:
    root = small_run.write("half0A")
    solver = root / "solver.prototxt"
    text = solver.read_text() + f'snapshot_format: {form}\ntype: "{kind}"\n'
    solver.write_text(text.replace("momentum: 0.9", "momentum: 0.9 momentum2: 0.999"))
    root = root.rename(root.with_name("plain"))

    train_network(root, small_run.settings, lambda _: None)
    newest = newest_complete(root / "snapshots")
    assert newest is not None
    assert newest.iteration == 4
    assert newest.model.suffix == (".h5" if form == "HDF5" else ".caffemodel")
    with open_state(newest.state) as state:
        assert state.iteration == 4
        assert len(state.history) == 16 * (2 if kind == "Adam" else 1)
        assert state.learned_net.endswith(newest.model.name)


def test_what_is_no_solverstate(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xff\x00noise")
    (tmp_path / "hdf5").write_bytes(b"\x89HDF\r\n\x1a\n")
    write_model(tmp_path / "model")
    for name in ("noise", "hdf5", "model"):
        with pytest.raises(FormatError, match="older snapshot"), open_state(tmp_path / name):
            pass
    with pytest.raises(Incomplete), open_state(tmp_path / "none"):
        pass
