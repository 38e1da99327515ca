"""A training that was stopped and resumed is the one that was not, byte for byte."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import command
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.snapshot import set_prefix
from caffe_transfer.caffe_torch.solver import Action, Solver
from caffe_transfer.formats import resume
from caffe_transfer.formats.prototxt import read_solver
from caffe_transfer.paths import resume_file
from tests.images import write_images
from tests.torch_data import data_layer, write_lmdb
from tests.torch_layers import one_thread
from tests.torch_solvers import caffe, model

LMDB = """
layer { name: "d" type: "Data" top: "x" top: "y" include { phase: TRAIN }
  transform_param { crop_size: 6 mirror: true scale: 0.01 }
  data_param { backend: LMDB source: "lmdb" batch_size: 4 } }
layer { name: "t" type: "Data" top: "x" top: "y" include { phase: TEST }
  transform_param { crop_size: 6 mirror: true scale: 0.01 }
  data_param { backend: LMDB source: "lmdb" batch_size: 3 } }
"""
TOP = """
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "y" top: "loss" }
layer { name: "right" type: "Accuracy" bottom: "fc" bottom: "y" top: "right"
  include { phase: TEST } }
"""
LIST = """
layer { name: "d" type: "ImageData" top: "x" top: "y"
  transform_param { crop_size: 6 mirror: true scale: 0.01 }
  image_data_param { source: "list.txt" root_folder: "images/" new_height: 9 new_width: 8
    batch_size: 4 shuffle: true rand_skip: 5 } }
layer { name: "e" type: "Data" top: "z" transform_param { crop_size: 6 mirror: true }
  data_param { backend: LMDB source: "lmdb" batch_size: 3 } }
layer { name: "quiet" type: "Silence" bottom: "z" }
"""
# Noise from the net's own generator; a layer that only the test net has, with weights of its own.
NOISE = """
layer { name: "n" type: "DummyData" top: "n" include { phase: TEST } dummy_data_param {
  shape { dim: 3 dim: 2 } data_filler { type: "gaussian" std: 2 } } }
layer { name: "own" type: "InnerProduct" bottom: "n" top: "own" include { phase: TEST }
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""
ROWS = """
layer { name: "d" type: "HDF5Data" top: "x" top: "y"
  hdf5_data_param { source: "h5.txt" batch_size: 4 shuffle: true } }
layer { name: "c" type: "DummyData" top: "c" dummy_data_param {
  shape { dim: 4 dim: 2 } data_filler { type: "constant" value: 1 } } }
layer { name: "steps" type: "Reshape" bottom: "x" top: "steps"
  reshape_param { shape { dim: 4 dim: 2 dim: 3 } } }
layer { name: "lstm" type: "LSTM" bottom: "steps" bottom: "c" top: "h" recurrent_param {
  num_output: 3 weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }
layer { name: "flat" type: "Flatten" bottom: "h" top: "flat" }
layer { name: "fc" type: "InnerProduct" bottom: "flat" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "y" top: "loss" }
"""
NETS = {"lmdb": LMDB + TOP, "list": LIST + NOISE + TOP, "rows": ROWS}
SOLVER = """
net: "net.prototxt" solver_mode: CPU max_iter: 12 display: 1 average_loss: 4 snapshot: 5
snapshot_prefix: "net" test_iter: 3 test_interval: 3 lr_policy: "step" stepsize: 6 gamma: 0.5
"""
SGD = "base_lr: 0.05 momentum: 0.9 weight_decay: 0.01"
SEED = " random_seed: 7 "
RULES = {
    "SGD": SGD,
    "Adam": 'type: "Adam" base_lr: 0.01 momentum: 0.9 momentum2: 0.99',
    "AdaDelta": 'type: "AdaDelta" base_lr: 1 momentum: 0.95 delta: 1e-6',
    "HDF5": f"{SGD} snapshot_format: HDF5 iter_size: 2",
    "clipped": f"{SGD} clip_gradients: 0.5",
    "Nesterov": f'{SGD} type: "Nesterov"',
    "RMSProp": 'type: "RMSProp" base_lr: 0.01 rms_decay: 0.95 delta: 1e-6',
}
Log = dict[str, list[str]]


@pytest.fixture(autouse=True)
def one() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of all kinds."""
    folder = tmp_path_factory.mktemp("data")
    write_lmdb(folder / "lmdb")
    images = write_images(folder / "images", count=7)
    lines = zip(images.paths, images.labels, strict=True)
    (folder / "list.txt").write_text("".join(f"{path} {label % 3}\n" for path, label in lines))
    random = np.random.default_rng(0)
    for name in "ab":
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["x"] = random.standard_normal((5, 6)).astype(np.float32)
            file["y"] = random.integers(0, 3, 5).astype(np.float32)
    (folder / "h5.txt").write_text("a.h5\nb.h5\n")
    return folder


class Training:
    """A folder in which a training runs."""

    def __init__(self, folder: Path, data: Path, net: str, solver: str) -> None:
        shutil.copytree(data, folder)
        self.folder = folder
        (folder / "net.prototxt").write_text(net)
        (folder / "solver.prototxt").write_text(SOLVER + solver)

    def run(self, stop: int | None, state: Path | None, capfd: pytest.CaptureFixture[str],
            action: Action = Action.STOP) -> Log:  # fmt: skip
        """Train, from a state on if there is one, until the poll number `stop`; the log."""
        polls = iter(range(1, 10**6))
        capfd.readouterr()
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            param = read_solver(Path("solver.prototxt"))
            solver = Solver(
                param, torch.device("cpu"), Precision.FP32,
                lambda: action if next(polls) == stop else Action.NONE,
            )  # fmt: skip
            try:
                if state is not None:
                    solver.restore(state)
                solver.solve()
            finally:
                solver.close()
        finally:
            os.chdir(before)
        return parsed(capfd.readouterr().err)

    def newest(self) -> Path | None:
        """The name of the newest solver state."""
        return max((Path(path.name) for path in self.folder.glob("*.solverstate*")
                    if path.suffix != ".resume"), key=iteration, default=None)  # fmt: skip

    def run_with_stops(self, stops: Sequence[int], capfd: pytest.CaptureFixture[str]) -> Log:
        """Train to the end, with stops after so many polls of each try."""
        log: Log = {}
        for stop in (*stops, None):
            state = self.newest()
            log |= (found := self.run(stop, state, capfd))
            assert (state is None) or "Resume: exact" in found["start"]
        return log

    def snapshots(self, of: str = "") -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.glob(f"net_iter_*{of}")}


def iteration(path: Path) -> int:
    return int(path.name.split("_iter_")[1].split(".")[0])


def parsed(log: str) -> Log:
    """Lines about outputs under those about iterations, without times and paces."""
    found: Log = {"start": []}
    heading = "start"
    for line in log.splitlines():
        text = re.sub(r" \(.* iters\)", "", line.partition("] ")[2])
        if text.startswith("Iteration"):
            heading = text
            found[heading] = []
        elif "net output" in text or text.startswith(("Test loss", "Resume")):
            found[heading].append(text.strip())
    return found


def assert_same(found: Training, log: Log, whole: Training, expected: Log) -> None:
    assert {**log, "start": []} == {**expected, "start": []}
    theirs = whole.snapshots()
    assert len(theirs) == 9
    ours = found.snapshots()
    for name, content in theirs.items():
        assert ours[name] == content, name


Make = Callable[..., Training]


@pytest.fixture
def make(data: Path, tmp_path: Path) -> Make:
    """Makes folders of trainings, each of them new."""

    def made(net: str = "lmdb", solver: str = SGD + SEED) -> Training:
        number = len(list(tmp_path.iterdir()))
        return Training(tmp_path / str(number), data, NETS.get(net, net), solver)

    return made


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", ["lmdb", "list"])
def test_stopped_trainings_are_those_that_were_not(
    net: str, rule: str, make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = make(net, RULES[rule] + SEED)
    expected = whole.run(None, None, capfd)
    assert len(expected) == 31
    # In the window of the losses, in a test, just before and after a snapshot.
    for stops in ([5, 7], [11], [8, 1, 1, 2], [27]):
        found = make(net, RULES[rule] + SEED)
        assert_same(found, found.run_with_stops(stops, capfd), whole, expected)


@pytest.fixture
def uninterrupted() -> list[tuple[Training, Log]]:
    """What all examples of a test are compared with, made by the first one."""
    return []


@settings(
    max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(stops=st.lists(st.integers(1, 27), min_size=1, max_size=4))
def test_stops_anywhere(
    stops: list[int],
    make: Make,
    capfd: pytest.CaptureFixture[str],
    uninterrupted: list[tuple[Training, Log]],
) -> None:
    if not uninterrupted:
        whole = make("list")
        uninterrupted.append((whole, whole.run(None, None, capfd)))
    found = make("list")
    assert_same(found, found.run_with_stops(stops, capfd), *uninterrupted[0])


@pytest.mark.parametrize("poll", [3, 8, 16])
def test_a_snapshot_at_any_time(poll: int, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """Also in the middle of a test, which is then run again as a whole."""
    whole, found = make(), make()
    expected = whole.run(None, None, capfd)
    log = found.run(poll, None, capfd, Action.SNAPSHOT)
    (more,) = set(found.snapshots(".solverstate")) - set(whole.snapshots(".solverstate"))
    assert_same(found, log, whole, expected)
    for name in set(found.snapshots()) & set(whole.snapshots()):
        (found.folder / name).unlink()
    log = found.run(None, Path(more), capfd)
    assert log["start"] == ["Resume: exact"]
    assert {key: log[key] for key in log if key != "start"}.items() <= expected.items()
    late = {name for name in whole.snapshots() if iteration(Path(name)) > iteration(Path(more))}
    assert {name: found.snapshots()[name] for name in late} == {
        name: whole.snapshots()[name] for name in late
    }


@pytest.mark.parametrize("net", NETS)
def test_trainings_without_a_seed(net: str, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """Those that were resumed from the snapshots of one that went on."""
    whole = make(net, SGD)
    expected = whole.run(None, None, capfd)
    for start in (5, 10):
        found = make(net, SGD)
        for name, content in whole.snapshots().items():
            if iteration(Path(name)) == start:
                (found.folder / name).write_bytes(content)
        log = found.run(None, Path(f"net_iter_{start}.solverstate"), capfd)
        assert log.pop("start") == ["Resume: exact"]
        assert log.items() <= expected.items()
        assert len(log) > 2 * (12 - start)
        assert found.snapshots("12.*") == whole.snapshots("12.*")
    assert make(net, SGD).run(None, None, capfd) != expected


def command_line(training: Training, *flags: str) -> int:
    before = Path.cwd()
    os.chdir(training.folder)
    try:
        return command.main(["train", "--solver=solver.prototxt", *flags])
    finally:
        os.chdir(before)


FROM_5 = "--snapshot=net_iter_5.solverstate"


@pytest.mark.parametrize("how", ["missing", "--restart-data", "of another state", "new model"])
def test_without_it_as_caffe(
    how: str, make: Make, caffe_bin: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    net = NETS["lmdb"].replace('name: "drop"', 'name: "drop" exclude { phase: TRAIN }')
    ours = make(net)
    ours.run(None, None, capfd)
    file = resume_file(ours.folder / "net_iter_5.solverstate")
    if how == "missing":
        file.unlink()
    elif how == "of another state":
        file.write_bytes((ours.folder / "net_iter_10.solverstate.resume").read_bytes())
    elif how == "new model":
        path = ours.folder / "net_iter_5.caffemodel"
        path.write_bytes(path.read_bytes() + b"\xa2\x06\x00")  # a layer without a name
    theirs = make(net)
    shutil.copytree(ours.folder, theirs.folder, dirs_exist_ok=True)
    flags = [FROM_5, how] if how.startswith("-") else [FROM_5]
    capfd.readouterr()
    assert command_line(ours, *flags) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if "Resume:" in line]
    assert len(told) == 1
    assert "Resume: as Caffe, data from the first record: " in told[0]
    ...
