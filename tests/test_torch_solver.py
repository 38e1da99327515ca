"""Optimizers, schedules and snapshots, judged by real Caffe."""

import subprocess
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import command
from caffe_transfer.caffe_torch.lr_schedules import learning_rate, step_of
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.formats.caffemodel import Blob, open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import open_state

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
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = random.standard_normal((12, 4)).astype(np.float32)
        file["y"] = random.standard_normal((12, 2)).astype(np.float32)
    (tmp_path / "list.txt").write_text("data.h5\n")
    (tmp_path / "net.prototxt").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def solver(folder: Path, prefix: str, settings: str) -> str:
    path = folder / f"{prefix}.prototxt"
    path.write_text(SOLVER.format(prefix=prefix) + settings + " solver_mode: CPU")
    return f"--solver={path}"


def caffe(caffe_bin: Path, *arguments: str) -> str:
    done = subprocess.run(
        [caffe_bin, "train", *arguments], capture_output=True, text=True,
        env={"GLOG_logtostderr": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def model(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    with open_model(path) as found:
        return arrays({f"{name} {index}": blob for name, layer in found.with_blobs.items()
                       for index, blob in enumerate(layer.blobs)})  # fmt: skip


def state(path: Path) -> tuple[int, int, dict[str, npt.NDArray[np.float32]]]:
    with open_state(path) as found:
        history = {str(index): blob for index, blob in enumerate(found.history)}
        return found.iteration, found.current_step, arrays(history)


def arrays(blobs: dict[str, Blob]) -> dict[str, npt.NDArray[np.float32]]:
    return {name: np.array(blob.values).reshape(blob.shape) for name, blob in blobs.items()}


def assert_close(
    ours: dict[str, npt.NDArray[np.float32]], theirs: dict[str, npt.NDArray[np.float32]]
) -> None:
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        scale = max(float(np.abs(expected).max()), 1e-6)
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-5 * scale, err_msg=name)


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('base_lr: 0.1 lr_policy: "fast"', "lr_policy 'fast' is unknown; choose one of fixed"),
        ('base_lr: 0.1 lr_policy: "step"', "lr_policy 'step' needs a stepsize above 0"),
        ('base_lr: 0.1 lr_policy: "exp" gamma: -1', "lr_policy 'exp' needs a gamma of 0 or more"),
        (f'{SGD} type: "LBFGS"', "the solver's type 'LBFGS' is unknown; choose one of SGD"),
        (f'{SGD} regularization_type: "L3"', "regularization_type 'L3' is unknown"),
        (f'{SGD} train_net: "net.prototxt"', "it has net and train_net"),
        (f"{SGD} test_iter: 1", "the solver has test_iter, but no test_interval above 0"),
        (f'{SGD} test_net: "net.prototxt"', "has 0 test_iter for 1 test nets"),
        (f"{SGD} test_iter: 1 test_interval: 5 test_state {{}} test_state {{}}", "2 test_state"),
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
