"""Optimizers, schedules and snapshots, judged by real Caffe."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import command
from caffe_transfer.caffe_torch.lr_schedules import learning_rate, step_of
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_solvers import assert_close, caffe, model, run_caffe, state, write_data

NET = """
name: "small"
layer { name: "data" type: "HDF5Data" top: "x" top: "y"
  hdf5_data_param { source: "list.txt" batch_size: 5 } }
layer { name: "fc1" type: "InnerProduct" bottom: "x" top: "fc1"
  param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  inner_product_param { num_output: 6 weight_filler { type: "xavier" }
    bias_filler { type: "constant" value: 0.1 } } }
layer { name: "relu1" type: "ReLU" bottom: "fc1" top: "fc1" relu_param { negative_slope: 0.1 } }
layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc2" bottom: "y" top: "loss" }
"""
SOLVER = """
net: "net.prototxt"
max_iter: 20
display: 1
snapshot: 10
snapshot_prefix: "{prefix}"
random_seed: 11
"""
SGD = 'base_lr: 0.05 momentum: 0.9 weight_decay: 0.01 lr_policy: "fixed"'
SETTINGS = {
    "step": 'base_lr: 0.05 momentum: 0.9 lr_policy: "step" gamma: 0.3 stepsize: 6',
    "multistep": 'base_lr: 0.05 lr_policy: "multistep" gamma: 0.3 stepvalue: 4 stepvalue: 13',
    "exp": 'base_lr: 0.05 momentum: 0.5 lr_policy: "exp" gamma: 0.9',
    "inv": 'base_lr: 0.05 lr_policy: "inv" gamma: 0.1 power: 0.75',
    "poly": 'base_lr: 0.05 momentum: 0.5 lr_policy: "poly" power: 2',
    "sigmoid": 'base_lr: 0.05 lr_policy: "sigmoid" gamma: 0.5 stepsize: 10',
    "L1": f'{SGD} regularization_type: "L1"',
    "clipped": f"{SGD} clip_gradients: 0.4",
    "gathered": f"{SGD} iter_size: 3 average_loss: 4",
    "HDF5": f"{SGD} snapshot_format: HDF5",
    "Nesterov": f'{SGD} type: "Nesterov"',
    "AdaGrad": 'base_lr: 0.05 weight_decay: 0.01 lr_policy: "fixed" type: "AdaGrad" delta: 1e-6',
    "RMSProp": 'base_lr: 0.01 lr_policy: "fixed" type: "RMSProp" rms_decay: 0.95 delta: 1e-6',
    "AdaDelta": 'base_lr: 1 momentum: 0.95 lr_policy: "fixed" type: "AdaDelta" delta: 1e-6',
    "Adam": 'base_lr: 0.01 momentum: 0.9 momentum2: 0.99 lr_policy: "fixed" type: "Adam"',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A net's folder with its data, in which commands run."""
    write_data(tmp_path, 4, 2)
    (tmp_path / "net.prototxt").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def solver(folder: Path, prefix: str, settings: str) -> str:
    path = folder / f"{prefix}.prototxt"
    path.write_text(SOLVER.format(prefix=prefix) + settings + " solver_mode: CPU")
    return f"--solver={path}"


@pytest.mark.parametrize("name", SETTINGS)
def test_twenty_steps_are_those_of_caffe(name: str, folder: Path, caffe_bin: Path) -> None:
    caffe(caffe_bin, solver(folder, "theirs", SETTINGS[name]))
    assert command.main(["train", solver(folder, "ours", SETTINGS[name])]) == 0
    end = ".h5" if name == "HDF5" else ""
    ours, theirs = (folder / f"{who}_iter_20.caffemodel{end}" for who in ("ours", "theirs"))
    assert_close(model(ours), model(theirs))
    ours, theirs = (folder / f"{who}_iter_20.solverstate{end}" for who in ("ours", "theirs"))
    (iteration, step, history), expected = state(ours), state(theirs)
    assert (iteration, step) == expected[:2]
    assert_close(history, expected[2])


@pytest.mark.parametrize("name", ["L1", "multistep", "HDF5", "Adam", "AdaDelta"])
def test_states_pass_between_both_in_both_directions(
    name: str, folder: Path, caffe_bin: Path
) -> None:
    end = ".h5" if name == "HDF5" else ""
    whole = solver(folder, "theirs", SETTINGS[name])
    caffe(caffe_bin, whole)
    expected = model(folder / f"theirs_iter_20.caffemodel{end}")

    resumed = solver(folder, "resumed", SETTINGS[name])
    half = f"theirs_iter_10.solverstate{end}"
    # Data starts anew at a resume: Caffe's own resumed run is what ours must equal.
    caffe(caffe_bin, resumed, f"--snapshot={half}")
    theirs = model(folder / f"resumed_iter_20.caffemodel{end}")
    assert command.main(["train", resumed, f"--snapshot={half}"]) == 0
    assert_close(model(folder / f"resumed_iter_20.caffemodel{end}"), theirs)

    ours = solver(folder, "ours", SETTINGS[name])
    assert command.main(["train", ours]) == 0
    assert_close(model(folder / f"ours_iter_20.caffemodel{end}"), expected)
    back = solver(folder, "back", SETTINGS[name])
    caffe(caffe_bin, back, f"--snapshot=ours_iter_10.solverstate{end}")
    assert_close(model(folder / f"back_iter_20.caffemodel{end}"), theirs)


def test_snapshots_are_caffes_byte_for_byte_where_nothing_moves(
    folder: Path, caffe_bin: Path
) -> None:
    flag = solver(folder, "same", 'base_lr: 0 momentum: 0.9 lr_policy: "fixed"')
    caffe(caffe_bin, flag)
    written = [folder / f"same_iter_20.{end}" for end in ("caffemodel", "solverstate")]
    theirs = [path.read_bytes() for path in written]
    assert command.main(["train", flag]) == 0
    assert [path.read_bytes() for path in written] == theirs


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ("", "deep/solver.v2"),
        ('snapshot_prefix: "snaps"', "snaps/solver.v2"),
        ('snapshot_prefix: "snaps/"', "snaps/solver.v2"),
        ('snapshot_prefix: "snaps/x"', "snaps/x"),
        ('snapshot_prefix: ""', ""),
    ],
)
def test_snapshots_lie_where_caffe_puts_them(
    settings: str, written: str, folder: Path, caffe_bin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("deep", "snaps"):
        (folder / name).mkdir()
    path = Path("deep/solver.v2.prototxt")
    path.write_text(f'net: "net.prototxt" max_iter: 1 {SGD} solver_mode: CPU {settings}')
    log = caffe(caffe_bin, f"--solver={path}")
    model_path = folder / f"{written}_iter_1.caffemodel"
    model_path.unlink()
    capfd.readouterr()
    assert command.main(["train", f"--solver={path}"]) == 0
    assert model_path.exists()
    said = [line.partition("] ")[2] for line in log.splitlines() if "snapshot_prefix was" in line]
    assert [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()
            if "snapshot_prefix was" in line] == said  # fmt: skip


def test_a_folder_for_snapshots_that_is_not_there(
    folder: Path, caffe_bin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "none").write_text("a file")
    for prefix, message in (("no/x", "No such file"), ("none/x", "Not a directory")):
        path = folder / "s"
        path.write_text(SOLVER.format(prefix=prefix) + SGD + " solver_mode: CPU")
        flag = f"--solver={path}"
        assert run_caffe(caffe_bin, flag).returncode != 0
        assert command.main(["train", flag]) == 1
        last = capfd.readouterr().err.splitlines()[-1]
        assert f"snapshots of prefix {prefix!r} cannot be written into" in last
        assert message in last


TESTED = """
test_iter: 2 test_interval: 10 test_compute_loss: true clip_gradients: 0.4
lr_policy: "multistep" base_lr: 0.05 gamma: 0.5 stepvalue: 5 stepvalue: 15
"""
TOLD = (
    "Finetuning from", "Resuming from", "SGDSolver:", "Starting Optimization", "Solving",
    "Ignoring source layer", "Testing net", "Test loss", "Gradient clipping", "MultiStep Status",
    "Snapshotting", "Optimization Done",
)  # fmt: skip


@pytest.mark.parametrize("end", ["", ".h5"])
@pytest.mark.parametrize("start", ["--snapshot=same_iter_10.solverstate", "--weights=first"])
def test_the_log_has_caffes_lines_in_caffes_order(
    start: str, end: str, folder: Path, caffe_bin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = NET.replace('top: "fc1" relu_param', 'top: "fc1" include { phase: TRAIN } relu_param')
    (folder / "net.prototxt").write_text(net)
    settings = TESTED + ("snapshot_format: HDF5" if end else "")
    flags = [solver(folder, "same", settings), start + end]
    caffe(caffe_bin, flags[0])
    (folder / f"same_iter_20.caffemodel{end}").rename(folder / f"first{end}")
    theirs = caffe(caffe_bin, *flags)
    capfd.readouterr()
    assert command.main(["train", *flags]) == 0
    ours = capfd.readouterr().err
    mine, other = ([line.partition("] ")[2] for line in log.splitlines()
                    if any(word in line for word in TOLD)] for log in (ours, theirs))  # fmt: skip
    assert [words(line)[0] for line in mine] == [words(line)[0] for line in other]
    for line, expected in zip(mine, other, strict=True):
        assert words(line)[1] == pytest.approx(words(expected)[1], rel=1e-3)


def words(line: str) -> tuple[str, list[float]]:
    """A line without its real numbers, and these."""
    number = r"(?<![\w.])\d+\.\d+\b"
    return re.sub(number, "#", line), [float(found) for found in re.findall(number, line)]


def test_the_log_tells_the_same_losses_and_rates(
    folder: Path, caffe_bin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = told(caffe(caffe_bin, solver(folder, "theirs", SETTINGS["gathered"])))
    capfd.readouterr()
    command.main(["train", solver(folder, "ours", SETTINGS["gathered"])])
    ours = told(capfd.readouterr().err)
    assert [line[0] for line in ours] == [line[0] for line in theirs]
    for (_, mine), (_, other) in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=1e-4)


def told(log: str) -> list[tuple[str, float]]:
    """The quantities of a log's lines about iterations, and their values."""
    found = []
    for line in log.splitlines():
        text = line.partition("] ")[2]
        for key in (", loss = ", ", lr = ", "loss = "):
            if key in text and ("Iteration" in text or "Train net" in text):
                number = text.rpartition(key)[2].split()[0]
                found.append((text.split(" (")[0].split(" =")[0].strip(), float(number)))
                break
    return found


@pytest.mark.parametrize(
    ("policy", "iteration", "rate"),
    [("fixed", 9, 0.1), ("step", 10, 0.05), ("step", 9, 0.1), ("exp", 2, 0.025)],
)
def test_rates_by_hand(policy: str, iteration: int, rate: float) -> None:
    param = pb.SolverParameter(base_lr=0.1, lr_policy=policy, gamma=0.5, stepsize=10)
    step = step_of(param, iteration, 0)
    assert learning_rate(param, iteration, step) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("policy", ["step", "exp", "inv", "multistep", "poly", "sigmoid"])
@given(
    st.floats(0, float(np.finfo(np.float32).max), width=32),
    st.floats(width=32),
    st.integers(0, 2**31 - 1),
)
def test_rates_beyond_all_numbers(policy: str, gamma: float, power: float, iteration: int) -> None:
    """They are infinite or no numbers, as in Caffe, with neither an exception nor a warning."""
    param = pb.SolverParameter(
        base_lr=0.1, lr_policy=policy, gamma=gamma, power=power, stepsize=1, max_iter=2**31 - 1
    )
    assert isinstance(learning_rate(param, iteration, iteration), float)


@pytest.mark.parametrize("settings", ["momentum: 1", "momentum: 3", "momentum2: 1.5"])
def test_adam_beyond_all_numbers(
    settings: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flag = solver(folder, "adam", f'base_lr: 0.1 lr_policy: "fixed" type: "Adam" {settings}')
    status = command.main(["train", flag])
    said = capfd.readouterr().err.splitlines()[-1]
    assert (status, said[-18:]) == (0, "Optimization Done.") or "training has diverged" in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('base_lr: 0.1 lr_policy: "fast"', "lr_policy 'fast' is unknown; choose one of fixed"),
        ('base_lr: 0.1 lr_policy: "step"', "lr_policy 'step' needs a stepsize above 0"),
        ('base_lr: 0.1 lr_policy: "exp" gamma: -1', "lr_policy 'exp' needs a gamma of 0 or more"),
        ('base_lr: 0.1 lr_policy: "inv" gamma: nan', "lr_policy 'inv' needs a gamma of 0 or more"),
        (f"{SGD} iter_size: 0", "the solver's iter_size is 0; it must be at least 1"),
        (f"{SGD} average_loss: -1", "the solver's average_loss is -1; it must be at least 1"),
        (f'{SGD} type: "LBFGS"', "the solver's type 'LBFGS' is unknown; choose one of SGD"),
        (f'{SGD} regularization_type: "L3"', "regularization_type 'L3' is unknown"),
        (f'{SGD} train_net: "net.prototxt"', "it has net and train_net"),
        (f"{SGD} test_iter: 1", "the solver has test_iter, but no test_interval above 0"),
        (f'{SGD} test_net: "net.prototxt"', "has 0 test_iter for 1 test nets"),
        (f"{SGD} test_iter: 1 test_interval: 5 test_state {{}} test_state {{}}", "2 test_state"),
        (f'{SGD} type: "RMSProp"', "the solver's type RMSProp takes no momentum; leave it out"),
        (f'{SGD} type: "AdaGrad"', "the solver's type AdaGrad takes no momentum"),
        ('base_lr: 0.1 lr_policy: "fixed" type: "RMSProp" rms_decay: 1', "rms_decay is 1.0; it"),
        (f"{SGD} momentun: 1", 'no field named "momentun"'),
        ('base_lr: 1e30 lr_policy: "fixed"', "training has diverged; lower base_lr"),
    ],
)
def test_what_a_solver_cannot_be(
    settings: str, message: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flag = solver(folder, "bad", settings)
    assert command.main(["train", flag]) == 1
    assert message in capfd.readouterr().err.splitlines()[-1]
    assert not list(folder.glob("bad_iter_20*"))


@pytest.mark.parametrize(
    ("key", "net", "message"),
    [
        ("net_param", 'layers { name: "l" type: RELU }', "net_param has 'layers', of an older"),
        ("train_net_param", 'input: "x" input_dim: 1', "train_net_param has 'input', of an older"),
    ],
)
def test_nets_of_older_formats_inside_a_solver(
    key: str, net: str, message: str, folder: Path, caffe_bin: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (folder / "s").write_text(f"{key} {{ {net} }} max_iter: 1 {SGD} solver_mode: CPU")
    assert run_caffe(caffe_bin, "--solver=s").returncode != 0
    assert command.main(["train", "--solver=s"]) == 1
    assert message in capfd.readouterr().err.splitlines()[-1]


def test_a_gpu_that_is_not_there(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = folder / "solver.prototxt"
    path.write_text(SOLVER.format(prefix="x") + SGD + " solver_mode: GPU device_id: 99")
    assert command.main(["train", f"--solver={path}"]) == 1
    assert "there is no GPU 99; PyTorch finds" in capfd.readouterr().err
    assert command.main(["train", f"--solver={path}", "--gpu", "0,1"]) == 1
    assert "caffe-torch trains on one GPU" in capfd.readouterr().err


def test_memory_that_runs_out_names_the_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Net, "forward", full)
    assert command.main(["train", solver(folder, "full", SGD)]) == 1
    assert "out of memory with batches of 5; lower batch_size" in capfd.readouterr().err


def test_a_test_of_no_batches(folder: Path, caffe_bin: Path) -> None:
    settings = f"{SGD} test_iter: 0 test_interval: 5 test_compute_loss: true"
    caffe(caffe_bin, solver(folder, "theirs", settings))
    assert command.main(["train", solver(folder, "ours", settings)]) == 0


@pytest.mark.parametrize(
    "settings",
    [
        'base_lr: 3.4e38 lr_policy: "fixed" type: "Nesterov" momentum: 0.9',
        'base_lr: 3e38 lr_policy: "fixed" weight_decay: 3e38',
        'base_lr: 3e38 lr_policy: "fixed" type: "Adam" momentum: 0.9',
    ],
)
def test_products_beyond_all_floats(
    settings: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = (folder / "net.prototxt").read_text()
    (folder / "net.prototxt").write_text(net.replace("lr_mult: 2", "lr_mult: 20"))
    assert command.main(["train", solver(folder, "large", settings)]) == 1
    assert "training has diverged" in capfd.readouterr().err.splitlines()[-1]


def test_names_that_no_file_can_have(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are told as what they are: of no folder, and of a model that is beside its state."""
    flag = solver(folder, "long", SGD)
    path = folder / "long.prototxt"
    path.write_text(path.read_text().replace('"long"', f'"{"x" * 300}"'))
    assert command.main(["train", flag]) == 1
    assert "File name too long" in capfd.readouterr().err.splitlines()[-1]
    (folder / "x.solverstate").write_bytes(
        pb.SolverState(iter=1, current_step=0, learned_net="y" * 300).SerializeToString()
    )
    flag = solver(folder, "short", 'base_lr: 0.1 lr_policy: "fixed" type: "SGD"')
    assert command.main(["train", flag, f"--snapshot={folder}/x.solverstate"]) == 1
    assert "blobs of history" in capfd.readouterr().err.splitlines()[-1]
