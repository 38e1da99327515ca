"""Where gradients pass and where they stop, judged by real Caffe on random nets."""

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

from caffe_transfer.caffe_torch import command
from tests.torch_layers import Draw, one_thread
from tests.torch_solvers import assert_close, model, run_caffe, state, write_data

DATA = """layer { name: "data" type: "HDF5Data" top: "x" top: "y"
  hdf5_data_param { source: "list.txt" batch_size: 5 } }
"""
SOLVERS = (
    "momentum: 0.9",
    'momentum: 0.9 type: "Nesterov"',
    'type: "AdaGrad" delta: 1e-4',
    'momentum: 0.9 type: "Adam" delta: 1e-3',
)
TOLERANCE = 1e-4  # of the largest value; adaptive rules enlarge the last bits of small gradients


def fc(name: str, bottom: str, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {more} '
        "inner_product_param { num_output: 3 "
        'weight_filler { type: "gaussian" std: 0.5 } } }\n'
    )


def loss(name: str, first: str, second: str, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "EuclideanLoss" bottom: "{first}" bottom: "{second}" '
        f'top: "{name}" {more} }}\n'
    )


class RandomNet:
    """A random net of blobs of one shape: branches, losses, frozen layers, stopped gradients."""

    def __init__(self, seed: int) -> None:
        self._draw = Draw(seed)
        self._blobs = ["x"]
        pick = self._draw.pick
        self.text = pick("", "", "", "force_backward: true\n") + DATA
        for index in range(self._draw.number(3, 9)):
            add = pick(self._fc, self._fc, self._fc, self._other, self._eltwise, self._loss)
            self.text += add(f"l{index}")
        self.text += loss("last", self._blobs[-1], "y")

    def _bottom(self) -> str:
        return str(self._draw.pick(self._blobs[-1], self._draw.pick(*self._blobs)))

    def _down(self, count: int) -> str:
        if self._draw.number(0, 2):
            return ""
        return " ".join(f"propagate_down: {self._draw.pick('true', 'false')}" for _ in range(count))

    def _fc(self, name: str) -> str:
        pick = self._draw.pick
        specs = " ".join(
            f"param {{ {pick('', '', 'lr_mult: 0', 'lr_mult: 2')} {pick('', 'decay_mult: 3')} }}"
            for _ in range(2)
        )
        shared = 'param { name: "w" } param { name: "b" }'
        more = f"{pick(specs, specs, shared)} {pick('', '', 'loss_weight: 0.1')} {self._down(1)}"
        text = fc(name, self._bottom(), more)
        self._blobs.append(name)
        return text

    def _other(self, name: str) -> str:
        bottom = self._bottom()
        kind = self._draw.pick("ReLU", "TanH", "Silence")
        top = {"ReLU": f'top: "{bottom}"', "TanH": f'top: "{name}"', "Silence": ""}[kind]
        down = self._down(1)
        if kind == "TanH":
            self._blobs.append(name)
        return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" {top} {down} }}\n'

    def _eltwise(self, name: str) -> str:
        bottoms = " ".join(f'bottom: "{self._bottom()}"' for _ in range(2))
        text = f'layer {{ name: "{name}" type: "Eltwise" {bottoms} top: "{name}" {self._down(2)} }}'
        self._blobs.append(name)
        return text + "\n"

    def _loss(self, name: str) -> str:
        second = self._draw.pick("y", self._bottom())
        weight = self._draw.pick("", "loss_weight: 0", "loss_weight: 0.3")
        return loss(name, self._bottom(), second, f"{weight} {self._down(2)}")


def trained(
    net: str, settings: str, folder: Path, caffe_bin: Path
) -> "tuple[int, subprocess.CompletedProcess[str]]":
    """Train a net in both engines, into snapshots called ours and theirs."""
    (folder / "net.prototxt").write_text(net)
    for who in ("theirs", "ours"):
        (folder / f"{who}.prototxt").write_text(
            'net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" max_iter: 4 random_seed: 3 '
            f'solver_mode: CPU weight_decay: 0.1 snapshot_prefix: "{who}" {settings}'
        )
    for path in folder.glob("*_iter_*"):
        path.unlink()
    done = run_caffe(caffe_bin, "--solver=theirs.prototxt")
    with one_thread():
        return command.main(["train", "--solver=ours.prototxt"]), done


def assert_equal(folder: Path) -> None:
    """Weights and histories are those of Caffe."""
    theirs, ours = folder / "theirs_iter_4", folder / "ours_iter_4"
    assert_close(
        model(ours.with_suffix(".caffemodel")), model(theirs.with_suffix(".caffemodel")), TOLERANCE
    )
    found, expected = (state(path.with_suffix(".solverstate")) for path in (ours, theirs))
    assert_close(found[2], expected[2], TOLERANCE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_data(tmp_path, 3, 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_random_nets_train_as_in_caffe(folder: Path, caffe_bin: Path) -> None:
    refused = 0
    for seed in range(40):
        net = RandomNet(seed).text
        settings = SOLVERS[seed % len(SOLVERS)] + (" clip_gradients: 0.3" if seed % 3 == 0 else "")
        code, done = trained(net, settings, folder, caffe_bin)
        assert (code == 0) is (done.returncode == 0), (net, done.stderr[-300:])
        if code:
            refused += 1
            continue
        assert_equal(folder)
    assert refused < 20


FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
STOP = "propagate_down: false"
CLASSES = 'layer { name: "m" type: "ArgMax" bottom: "x" top: "m" argmax_param { axis: 1 } }\n'
SCORE = (
    'layer {{ name: "s" type: "SoftmaxWithLoss" bottom: "a" bottom: "{}" top: "s" {} }}\n'.format
)


@pytest.mark.parametrize(
    "net",
    [
        fc("a", "x") + fc("b", "a", STOP) + loss("l", "b", "y"),
        fc("a", "x") + fc("b", "a") + loss("l", "a", "b", "propagate_down: true " + STOP),
        fc("a", "x") + fc("b", "a") + fc("c", "a", STOP) + loss("l", "b", "c"),
        "force_backward: true\n" + fc("a", "x", FROZEN) + fc("b", "a", STOP) + loss("l", "b", "y"),
        fc("a", "x") + fc("b", "x") + loss("l", "a", "y") + loss("m", "b", "y", "loss_weight: 0"),
        fc("a", "x") + fc("b", "a") + loss("l", "a", "y")
        + 'layer { name: "s" type: "Silence" bottom: "b" }\n',
        fc("a", "x") + loss("l", "a", "y")
        + 'layer { name: "p" type: "Power" bottom: "l" top: "p" loss_weight: 1 '
        "power_param { scale: 2 } }\n",
        fc("a", "x") + loss("l", "a", "y", "loss_weight: 0.5")
        + 'layer { name: "p" type: "Power" bottom: "l" top: "p" power_param { scale: 2 } }\n',
        fc("a", "x", 'param { name: "w" } param { name: "b" lr_mult: 0 }')
        + fc("b", "a", 'param { name: "w" lr_mult: 2 } param { name: "b" }') + loss("l", "b", "y"),
        fc("a", "x", "param { lr_mult: -1 } param { lr_mult: -1 }") + loss("l", "a", "y"),
        fc("a", "x").replace('"a"', '"b"', 1) + fc("b", "a") + loss("l", "b", "y"),
    ],
)  # fmt: skip
def test_gradients_stop_where_they_stop_in_caffe(net: str, folder: Path, caffe_bin: Path) -> None:
    code, done = trained(DATA + net, "momentum: 0.9", folder, caffe_bin)
    assert (code, done.returncode) == (0, 0), done.stderr
    assert_equal(folder)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (fc("a", "x") + loss("l", "a", "y", STOP),
         "layer 'l' (EuclideanLoss) has 1 propagate_down and 2 bottoms; give one for each"),
        (fc("a", "x") + CLASSES + SCORE("m", "propagate_down: true propagate_down: true"),
         "layer 's' (SoftmaxWithLoss) cannot pass a gradient to its bottom 'm'; set"),
        (fc("a", "x", "param {} param {} param {}") + loss("l", "a", "y"),
         "layer 'a' (InnerProduct) has 3 param and 2 parameters"),
        (fc("a", "x", "loss_weight: 1 loss_weight: 2"), "has 2 loss_weight and 1 tops"),
        (fc("a", "x", 'include { phase: TRAIN } exclude { phase: TEST }') + loss("l", "a", "y"),
         "layer 'a' has include and exclude rules; give it rules of one kind"),
        (fc("a", "x") + 'layer { name: "p" type: "TanH" bottom: "a" top: "p" }\n'
         + 'layer { name: "r" type: "ReLU" bottom: "a" top: "a" }\n' + loss("l", "a", "y"),
         "layer 'r' changes blob 'a' in place, which another layer reads as well; give its top"),
        (fc("a", "x") + fc("b", "x")
         + 'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "b" }\n',
         "layer 'e' makes blob 'b', which is there already"),
        ('layer { name: "n" type: "BatchNorm" bottom: "x" top: "n" param { lr_mult: 1 } }\n',
         "layer 'n' (BatchNorm) has statistics, which cannot learn; set lr_mult to 0"),
    ],
)  # fmt: skip
def test_nets_that_caffe_refuses(
    net: str, message: str, folder: Path, caffe_bin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, done = trained(DATA + net, "momentum: 0.9", folder, caffe_bin)
    assert done.returncode != 0
    assert code == 1
    assert message in capfd.readouterr().err.splitlines()[-1]
