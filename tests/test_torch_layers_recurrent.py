"""RNN, LSTM and LSTMUnit as real Caffe has them: a batch, states over batches, a training."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import command
from caffe_transfer.caffe_torch.layers.inputs import Input
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_layers import Case, Draw, PyCaffe, Shape, bfloat16_types, check, refusal

FILLERS = (
    'weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "uniform" min: -1 max: 1 }'
)


def _recurrent(draw: Draw, kind: str, states: int) -> Case:
    steps, streams, outputs = draw.number(1, 5), draw.number(1, 4), draw.number(1, 5)
    cont = draw.pick(draw.labels(2, (steps, streams)), draw.between(0, 1, (steps, streams)))
    bottoms = [draw.values((steps, streams, *draw.shape(1, 2))), cont]
    learning = [0]
    if draw.pick(True, False):
        learning.append(len(bottoms))
        bottoms.append(draw.values((streams, *draw.shape(1, 2))))
    exposed = draw.pick(True, False)
    if exposed:
        bottoms += [draw.values((1, streams, outputs)) for _ in range(states)]
    settings = (
        f"recurrent_param {{ num_output: {outputs} expose_hidden: {str(exposed).lower()} {FILLERS} "
        f"debug_info: {draw.pick('true', 'false')} }}"
    )
    return Case(kind, settings, bottoms, tops=1 + states * exposed, learning=learning)


def rnn(draw: Draw) -> Case:
    return _recurrent(draw, "RNN", 1)


def lstm(draw: Draw) -> Case:
    return _recurrent(draw, "LSTM", 2)


def lstm_unit(draw: Draw) -> Case:
    streams, width = draw.number(1, 4), draw.number(1, 5)
    cont = draw.pick(draw.labels(2, (1, streams)), draw.between(0, 1, (1, streams)))
    shapes = ((1, streams, width), (1, streams, 4 * width))
    bottoms = [*(draw.values(shape) for shape in shapes), cont]
    return Case("LSTMUnit", "", bottoms, tops=2, learning=(0, 1))


ALL = [rnn, lstm, lstm_unit]


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path, make: Callable[[Draw], Case]) -> None:
    check(pycaffe, tmp_path, make)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_bfloat16(make: Callable[[Draw], Case]) -> None:
    assert bfloat16_types(make(Draw(7)))[0] == torch.float32


NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 2 dim: 3 } } }
layer { name: "goes on" type: "Input" top: "cont" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "still" type: "Input" top: "s" input_param { shape { dim: 3 dim: 2 } } }
layer { name: "r" type: "KIND" bottom: "x" bottom: "cont" bottom: "s" top: "r"
  recurrent_param { num_output: 5 FILLERS } }
layer { name: "fc" type: "InnerProduct" bottom: "r" top: "fc"
  inner_product_param { num_output: 2 axis: 2 weight_filler { type: "xavier" } } }
""".replace("FILLERS", FILLERS)
REFERENCE = """
import sys, numpy as np, caffe
folder = sys.argv[1]
given, out = np.load(folder + "/given.npz"), {}
caffe.set_random_seed(3)
net = caffe.Net(folder + "/net.prototxt", caffe.TEST)
for name, blobs in net.params.items():
    for index, blob in enumerate(blobs):
        out[f"{name}{index}"] = blob.data.copy()
for step in range(len(given["x"])):
    for name in "x", "cont", "s":
        net.blobs[name].data[...] = given[name][step]
    net.forward()
    out[f"step{step}"] = net.blobs["fc"].data.copy()
net.save(folder + "/theirs.caffemodel")
np.savez(folder + "/out.npz", **out)
"""


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_initial_weights_and_states_over_batches(
    kind: str, pycaffe: PyCaffe, tmp_path: Path
) -> None:
    draw = Draw(1)
    given = {"x": draw.values((4, 4, 3, 2, 3)), "s": draw.values((4, 3, 2))}
    given["cont"] = np.ones((4, 4, 3), np.float32)
    given["cont"][2, :2, 1] = 0  # the second stream begins anew
    np.savez(tmp_path / "given.npz", **given)  # type: ignore[arg-type]
    text = NET.replace("KIND", kind)
    (tmp_path / "net.prototxt").write_text(text)
    pycaffe(REFERENCE, tmp_path)
    wanted = np.load(tmp_path / "out.npz")
    net = _net(text, Rng(3))
    for layer in net.layers[3:]:
        for index, blob in enumerate(layer.blobs):
            assert np.array_equal(blob.detach().numpy(), wanted[f"{layer.param.name}{index}"])
    other = _net(text, Rng(4))
    with open_model(tmp_path / "theirs.caffemodel") as model:
        other.load(model, lambda _: None)
    for step in range(4):
        for each in (net, other):
            _feed(each, {name: values[step] for name, values in given.items()})
            found = each.forward().blobs["fc"].numpy()
            np.testing.assert_allclose(found, wanted[f"step{step}"], rtol=0, atol=1e-6)


def test_another_number_of_streams_begins_with_zeros() -> None:
    net, fresh = (_net(NET.replace("KIND", "LSTM"), Rng(3)) for _ in range(2))
    draw = Draw(2)
    for streams in (3, 2):
        given = {"x": draw.values((4, streams, 2, 3)), "s": draw.values((streams, 2)),
                 "cont": np.ones((4, streams), np.float32)}  # fmt: skip
        _feed(net, given)
        found = net.forward().blobs["fc"]
    _feed(fresh, given)
    assert torch.equal(found, fresh.forward().blobs["fc"])


def test_another_number_of_steps_is_refused() -> None:
    net = _net(NET.replace("KIND", "RNN"), Rng(3))
    _feed(net, {"x": np.zeros((5, 3, 2, 3)), "cont": np.zeros((5, 3)), "s": np.zeros((3, 2))})
    with pytest.raises(BadInput, match=r"layer 'r' \(RNN\) was set up for 4 time steps, and got 5"):
        net.forward()


def _net(text: str, rng: Rng) -> Net:
    param = text_format.Parse(text, pb.NetParameter())
    return Net(param, pb.NetState(phase=pb.TEST), rng, torch.device("cpu"))


def _feed(net: Net, given: dict[str, np.ndarray]) -> None:
    for layer in net.layers:
        if isinstance(layer, Input):
            values = np.ascontiguousarray(given[layer.param.top[0]], np.float32)
            layer.values[0] = torch.from_numpy(values)


TRAINED = """
name: "reader"
layer { name: "text" type: "DummyData" top: "words" top: "cont" top: "next"
  dummy_data_param { shape { dim: 6 dim: 4 } shape { dim: 6 dim: 4 } shape { dim: 6 dim: 4 }
    data_filler { type: "uniform" min: 0 max: 9.99 }
    data_filler { type: "constant" value: 1 }
    data_filler { type: "constant" value: 1 } } }
layer { name: "embed" type: "Embed" bottom: "words" top: "embedded"
  embed_param { num_output: 5 input_dim: 10 weight_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "lstm" type: "LSTM" bottom: "embedded" bottom: "cont" top: "lstm"
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 } param { lr_mult: 0.5 }
  recurrent_param { num_output: 7 FILLERS } }
layer { name: "rnn" type: "RNN" bottom: "lstm" bottom: "cont" top: "rnn"
  recurrent_param { num_output: 4 FILLERS } }
layer { name: "moved" type: "Parameter" top: "moved"
  parameter_param { shape { dim: 6 dim: 4 dim: 4 } } }
layer { name: "sum" type: "Eltwise" bottom: "rnn" bottom: "moved" top: "sum" }
layer { name: "predict" type: "InnerProduct" bottom: "sum" top: "scores"
  inner_product_param { num_output: 3 axis: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "next" top: "loss"
  softmax_param { axis: 2 } }
""".replace("FILLERS", FILLERS)
SOLVER = """
net: "net.prototxt" base_lr: 0.1 momentum: 0.9 weight_decay: 0.01 lr_policy: "fixed" max_iter: 20
clip_gradients: 2 random_seed: 5 solver_mode: CPU snapshot: 10 snapshot_prefix: "WHO"
"""


def test_a_whole_training(caffe_bin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(TRAINED)
    for who in ("theirs", "ours"):
        Path(f"{who}.prototxt").write_text(SOLVER.replace("WHO", who))
    subprocess.run([caffe_bin, "train", "--solver=theirs.prototxt"], check=True,
                   capture_output=True, env={"OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    assert command.main(["train", "--solver=ours.prototxt"]) == 0
    _assert_equal_models(10)
    _assert_equal_models(20)
    resumed = ["train", "--solver=ours.prototxt", "--snapshot=theirs_iter_10.solverstate"]
    assert command.main(resumed) == 0
    subprocess.run(
        [caffe_bin, "train", "--solver=theirs.prototxt", "--snapshot=ours_iter_10.solverstate"],
        check=True, capture_output=True,
    )  # fmt: skip
    _assert_equal_models(20)


def _assert_equal_models(iteration: int) -> None:
    ours, theirs = (_blobs(Path(f"{who}_iter_{iteration}.caffemodel"))
                    for who in ("ours", "theirs"))  # fmt: skip
    assert list(ours) == list(theirs)
    for name, wanted in theirs.items():
        assert ours[name].shape == wanted.shape
        error = float(np.abs(ours[name] - wanted).max())
        assert error <= 1e-5 * float(np.abs(wanted).max()), name


def _blobs(path: Path) -> dict[str, np.ndarray]:
    with open_model(path) as model:
        return {f"{name} {index}": np.array(blob.values).reshape(blob.shape)
                for name, layer in model.with_blobs.items()
                for index, blob in enumerate(layer.blobs)}  # fmt: skip


SEQUENCE: list[Shape] = [(4, 3, 2), (4, 3)]


@pytest.mark.parametrize(
    ("settings", "shapes", "message"),
    [
        ("", SEQUENCE, "no num_output"),
        ("num_output: 2", [(4, 3), (4, 3)], "(steps, streams, features)"),
        ("num_output: 2", [(4, 3, 2), (4, 2)], "as its second, not (4, 2)"),
        ("num_output: 2", [*SEQUENCE, (4, 2)], "a static input (3 streams, features)"),
        ("num_output: 2", [*SEQUENCE, (3, 2), (3, 2)], "has 4 bottoms; it takes 2 or 3"),
        ("num_output: 2 expose_hidden: true", SEQUENCE, "has 2 bottoms; it takes 4 or 5"),
        ("num_output: 2 expose_hidden: true", [*SEQUENCE, (1, 3, 2), (1, 3, 2)],
         "has 1 tops; it takes 3"),
    ],
)  # fmt: skip
def test_refusals(settings: str, shapes: list[Shape], message: str) -> None:
    assert message in refusal("LSTM", f"recurrent_param {{ {settings} }}", shapes)


def test_refused_states() -> None:
    settings = "recurrent_param { num_output: 2 expose_hidden: true }"
    shapes = [*SEQUENCE, (1, 3, 2), (1, 3, 3)]
    assert "states of the shape (1, 3, 2)" in refusal("LSTM", settings, shapes, tops=3)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3, 2), (1, 3, 8), (1, 3)], "cells of the shape (1, streams, width)"),
        ([(1, 3, 2), (1, 3, 6), (1, 3)], "shapes (1, 3, 8) and (1, 3)"),
    ],
)
def test_refused_units(shapes: list[Shape], message: str) -> None:
    assert message in refusal("LSTMUnit", "", shapes, tops=2)
