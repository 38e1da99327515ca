"""A training that was stopped and resumed is the one that was not, byte for byte."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import command
from caffe_transfer.caffe_torch.cuda_graph import CudaRecorder
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.solver import Action, Solver
from caffe_transfer.errors import BadResume
from caffe_transfer.formats import resume
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_solver
from caffe_transfer.paths import resume_file
from tests.images import write_images
from tests.torch_data import put, write_lmdb
from tests.torch_layers import one_thread
from tests.torch_solvers import assert_close, model

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
        self.device, self.precision = torch.device("cpu"), Precision.FP32
        self.graph = False
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
            solver = Solver(
                read_solver(Path("solver.prototxt")), self.device, self.precision,
                lambda: action if next(polls) == stop else Action.NONE,
                recorder=CudaRecorder(self.device) if self.graph else None,
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


def test_in_bfloat16(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    whole, found = make(), make()
    whole.precision = found.precision = Precision.BF16
    expected = whole.run(None, None, capfd)
    assert_same(found, found.run_with_stops([6, 9], capfd), whole, expected)


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
    ours = make()
    ours.run(None, None, capfd)
    file = resume_file(ours.folder / "net_iter_5.solverstate")
    if how == "missing":
        file.unlink()
    elif how == "of another state":
        file.write_bytes((ours.folder / "net_iter_10.solverstate.resume").read_bytes())
    elif how == "new model":
        path = ours.folder / "net_iter_5.caffemodel"
        path.write_bytes(path.read_bytes() + b"\xa2\x06\x00")  # a layer without a name
    theirs = make()
    shutil.copytree(ours.folder, theirs.folder, dirs_exist_ok=True)
    flags = [FROM_5, how] if how.startswith("-") else [FROM_5]
    capfd.readouterr()
    assert command_line(ours, *flags) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if "Resume:" in line]
    assert len(told) == 1
    assert "Resume: as Caffe, data from the first record: " in told[0]
    argv: list[str | Path] = [caffe_bin, "train", "--solver=solver.prototxt", FROM_5]
    subprocess.run(
        argv, cwd=theirs.folder, env={"OPENBLAS_NUM_THREADS": "1"}, capture_output=True, check=True
    )
    found, expected = (model(each.folder / "net_iter_12.caffemodel") for each in (ours, theirs))
    assert_close(found, expected, 1e-4)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("cut", "is broken, or of another version"),
        ("bit", "is broken, or of another version"),
        ("none", "is broken, or of another version"),
        ("other net", "does not fit the nets and their data (it has other layers)"),
        ("other data", "does not fit the nets and their data (lmdb has 8 records, and had 7)"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    damage: str, reason: str, make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    training = make()
    training.run(None, None, capfd)
    file = resume_file(training.folder / "net_iter_5.solverstate")
    content = file.read_bytes()
    if damage == "other net":
        text = NETS["lmdb"].replace('name: "relu"', 'name: "other"')
        (training.folder / "net.prototxt").write_text(text)
    elif damage == "other data":
        put(training.folder / "lmdb", b"9", pb.Datum(
            channels=3, height=9, width=8, data=bytes(216)).SerializeToString())  # fmt: skip
    else:
        file.write_bytes({
            "cut": content[:-1], "bit": content[:-9] + b"?" + content[-8:], "none": b"",
        }[damage])  # fmt: skip
    capfd.readouterr()
    assert command_line(training, FROM_5) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert f"net_iter_5.solverstate.resume {reason}; remove it, or give --restart-data" in last
    assert command_line(training, FROM_5, "--restart-data") == 0
    file.unlink()
    assert command_line(training, FROM_5) == 0


@pytest.mark.parametrize("net", NETS)
def test_arrays_of_any_kind_are_refused_or_restored(
    net: str, make: Make, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make(net)
    training.run(None, None, capfd)
    monkeypatch.chdir(training.folder)
    state = Path("net_iter_5.solverstate")
    whole = resume.read(resume_file(state))
    assert whole is not None
    kinds = [None, np.empty(0), np.array(-1), np.array(2**40), np.array("x"), np.eye(3), np.inf]
    solver = Solver(
        read_solver(Path("solver.prototxt")), torch.device("cpu"), Precision.FP32,
        lambda: Action.NONE,
    )  # fmt: skip
    refused = 0
    try:
        for name in whole.kept.arrays:
            for kind in kinds:
                arrays = {key: part for key, part in whole.kept.arrays.items() if key != name}
                if kind is not None:
                    arrays[name] = np.asarray(kind)
                with resume_file(state).open("wb") as file:
                    resume.write(replace(whole, kept=replace(whole.kept, arrays=arrays)), file)
                with suppress(BadResume):
                    solver.restore(state)
                    continue
                refused += 1
        with resume_file(state).open("wb") as file:
            resume.write(whole, file)
        solver.restore(state)
    finally:
        solver.close()
    assert refused > 5 * len(whole.kept.arrays)


def test_restart_data_is_for_a_resume(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line(make(), "--restart-data") == 1
    assert "--restart-data is for a resume; give --snapshot" in capfd.readouterr().err


def test_every_kill_between_the_files_leaves_whole_pairs(
    make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where snapshots of an older training lie in their places."""
    whole = make()
    whole.run(None, None, capfd)
    replace, unlink = Path.replace, Path.unlink
    for last in range(1, 9):
        found = make(solver=SGD + " random_seed: 8 ")
        found.run(None, None, capfd)  # the older one
        (found.folder / "solver.prototxt").write_text(SOLVER + SGD + SEED)
        old = found.snapshots()
        steps = iter(range(1, 100))

        def step(then: Callable[..., object], *arguments: object, steps: Iterator[int] = steps,
                 last: int = last, **options: object) -> object:  # fmt: skip
            if next(steps) >= last:
                raise KeyboardInterrupt  # as a kill: nothing is written after it
            return then(*arguments, **options)

        monkeypatch.setattr(Path, "replace", lambda *a, **b: step(replace, *a, **b))
        monkeypatch.setattr(Path, "unlink", lambda *a, **b: step(unlink, *a, **b))
        with pytest.raises(KeyboardInterrupt):
            found.run(None, None, capfd)
        monkeypatch.undo()
        for state in sorted(found.snapshots(".solverstate")):
            trio = {name: content for name, content in found.snapshots().items()
                    if iteration(Path(name)) == iteration(Path(state))}  # fmt: skip
            assert len(trio) == 3
            assert trio.items() <= old.items() or trio.items() <= whole.snapshots().items()


PROGRAM = """
import random
import caffe
import numpy

class Noise(caffe.Layer):
    def setup(self, bottom, top):
        if self.param_str:
            random.seed(1)
            numpy.random.seed(1)
        self.passes = 0
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
    def forward(self, bottom, top):
        self.passes += 1
        noise = numpy.random.standard_normal(bottom[0].shape) * random.gauss(0, 1)
        top[0].data[...] = bottom[0].data + noise / self.passes
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff
"""
KEEPS = """
    def get_state(self):
        return {"passes": self.passes}
    def set_state(self, state):
        self.passes = int(state["passes"])
"""
PYTHON = """
layer { name: "noise" type: "Python" bottom: "x" top: "noisy"
  python_param { module: "MODULE" layer: "Noise" param_str: "seeded" } }
"""


@pytest.mark.parametrize("keeps", [True, False])
def test_python_layers(
    keeps: bool, make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With random's and numpy's generators, and what the program itself keeps."""
    layer = PYTHON.replace("MODULE", f"noise_{keeps}")
    net = LMDB + layer + TOP.replace('bottom: "x"', 'bottom: "noisy"')
    whole, found = make(net), make(net)
    for training in (whole, found):
        module = training.folder / f"noise_{keeps}.py"
        module.write_text(PROGRAM + KEEPS * keeps)
    monkeypatch.syspath_prepend(str(whole.folder))
    expected = whole.run(None, None, capfd)
    for name, content in whole.snapshots().items():
        (found.folder / name).write_bytes(content)
    log = found.run(None, Path("net_iter_5.solverstate"), capfd)
    told = log.pop("start")
    if keeps:
        assert told == ["Resume: exact"]
        assert log.items() <= expected.items()
        assert found.snapshots() == whole.snapshots()
    else:
        assert told == [
            "Resume: exact but for what the Python layer 'noise' keeps without get_state and "
            "set_state"
        ]
        assert not log.items() <= expected.items()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("{'x': object()}", "gives no array or number as 'x' of its get_state"),
        ("3", "fails in Noise.get_state: AttributeError"),
        ("1 / 0", "fails in Noise.get_state: ZeroDivisionError"),
    ],
)
def test_programs_that_keep_what_cannot_be_kept(
    state: str, message: str, make: Make, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    name = f"noise_{abs(hash(state))}"
    layer = PYTHON.replace("MODULE", name)
    training = make(LMDB + layer + TOP.replace('bottom: "x"', 'bottom: "noisy"'))
    program = PROGRAM + KEEPS.replace('{"passes": self.passes}', state)
    (training.folder / f"{name}.py").write_text(program)
    monkeypatch.syspath_prepend(str(training.folder))
    assert command_line(training) == 1
    assert message in capfd.readouterr().err.splitlines()[-1]


def assert_near(log: Log, expected: Log) -> None:
    """Fail unless all numbers of a log are nearly those of another one."""
    numbers = [[float(number) for key, lines in sorted(each.items()) if key != "start"
                for number in re.findall(r"= ([-+.e0-9]+)", " ".join([key, *lines]))]
               for each in (log, expected)]  # fmt: skip
    assert len(numbers[0]) > 30
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-3)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@needs_gpu
@pytest.mark.parametrize("graph", [False, True])
def test_on_a_gpu(graph: bool, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """The same masks of dropout, whose generator the passes of a graph move on; nearly the bits."""
    Precision.FP32.set_up()
    whole, found = make(), make()
    for training in (whole, found):
        training.device, training.graph = torch.device("cuda", 0), graph
    expected = whole.run(None, None, capfd)
    log = found.run_with_stops([5, 9, 12], capfd)
    assert_near(log, expected)


@needs_gpu
def test_from_one_device_to_another(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    training = make()
    training.run(5, None, capfd)
    training.device = torch.device("cuda", 0)
    assert training.run(None, training.newest(), capfd)["start"] == [
        "Resume: exact but for what a GPU draws"
    ]


def test_near_logs(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """What the tests on a GPU compare with tells masks apart."""
    whole, other = make(), make()
    expected = whole.run(None, None, capfd)
    (other.folder / "solver.prototxt").write_text(SOLVER + SGD + " random_seed: 8 ")
    assert_near(expected, expected)
    with pytest.raises(AssertionError):
        assert_near(other.run(None, None, capfd), expected)
