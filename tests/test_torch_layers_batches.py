"""Layers that choose by indices, learned blobs, and what is written, as real Caffe has them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
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
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_layers import (
    Case,
    Draw,
    PyCaffe,
    Shape,
    bfloat16_types,
    check,
    one_sentence,
    refusal,
)


def embed(draw: Draw) -> Case:
    rows = draw.number(1, 6)
    settings = (
        f"embed_param {{ num_output: {draw.number(1, 5)} "
        f"input_dim: {rows} bias_term: {draw.pick('true', 'false')} }}"
    )
    index = draw.labels(rows, draw.shape()) + draw.pick(0, 0.5)  # Caffe truncates
    return Case("Embed", settings, [index.astype(np.float32)], learning=(), forced=False)


def parameter(draw: Draw) -> Case:
    dims = " ".join(f"dim: {length}" for length in draw.shape())
    settings = f"parameter_param {{ shape {{ {dims} }} }}"
    return Case("Parameter", settings, [], learning=(), forced=False)


def filter_(draw: Draw) -> Case:
    batch, count = draw.number(1, 7), draw.number(1, 3)
    chosen = draw.labels(2, (batch, *(1,) * draw.number(0, 3))) * draw.real(-1, 1)
    chosen[draw.number(0, batch - 1)] = 1  # none at all divides by zero in Caffe's backward
    items = [draw.values((batch, *draw.shape())) for _ in range(count)]
    number = int(np.count_nonzero(chosen))
    return Case("Filter", "", [*items, chosen], tops=count, learning=range(count), forced=False,
                top_diffs=[draw.values((number, *item.shape[1:])) for item in items])  # fmt: skip


def batch_reindex(draw: Draw) -> Case:
    shape = draw.shape()
    index = draw.labels(shape[0], (draw.number(1, 9),)) + draw.pick(0, 0.25)
    bottoms = [draw.values(shape), index.astype(np.float32)]
    return Case("BatchReindex", "", bottoms, forced=False)


ALL = [embed, parameter, filter_, batch_reindex]


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path, make: Callable[[Draw], Case]) -> None:
    check(pycaffe, tmp_path, make)


@pytest.mark.parametrize("make", [filter_, batch_reindex], ids=lambda make: make.__name__)
def test_bfloat16(make: Callable[[Draw], Case]) -> None:
    assert bfloat16_types(make(Draw(7)))[0] == torch.bfloat16


BATCH = (4, 3)


@pytest.mark.parametrize(
    ("kind", "settings", "shapes", "message"),
    [
        ("Embed", "embed_param { num_output: 2 }", [(4,)], "input_dim above 0"),
        ("Embed", "embed_param { input_dim: 2 }", [(4,)], "num_output"),
        ("Parameter", "parameter_param { shape { dim: -1 } }", [], "below 0"),
        ("Filter", "", [BATCH], "1 bottoms"),
        ("Filter", "", [BATCH, BATCH], "one number for each item"),
        ("Filter", "", [BATCH, (5,)], "among 5 items"),
        ("Filter", "", [BATCH, BATCH, (4,)], "a top for each bottom but the last"),
        ("BatchReindex", "", [BATCH, BATCH], "indices of one axis"),
    ],
)
def test_refusals(kind: str, settings: str, shapes: list[Shape], message: str) -> None:
    assert message in refusal(kind, settings, shapes)


@pytest.mark.parametrize(("index", "wrong"), [([0, 3], "3"), ([-1, 0], "-1")])
def test_indices_of_nothing(index: list[int], wrong: str) -> None:
    indices = torch.tensor(index, dtype=torch.float32)
    for case, bottoms in (
        (Case("Embed", "embed_param { num_output: 2 input_dim: 3 }", [indices.numpy()]), []),
        (Case("BatchReindex", "", [np.zeros((3, 2), np.float32), indices.numpy()]), [(3, 2)]),
    ):
        layer, _ = case.make()
        with pytest.raises(BadInput) as caught:
            layer.run([*(torch.zeros(shape) for shape in bottoms), indices])
        assert f"got the index {wrong}, which is not one of 0 to 2" in one_sentence(caught.value)


FILTERED = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 6 dim: 2 dim: 4 dim: 4 } } }
layer { name: "by" type: "Input" top: "chosen" input_param { shape { dim: 6 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "chosen" top: "some" }
layer { name: "c" type: "Convolution" bottom: "some" top: "c"
  convolution_param { num_output: 3 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 } }
layer { name: "norm" type: "LRN" bottom: "p" top: "n" }
layer { name: "flat" type: "Flatten" bottom: "n" top: "flat" }
layer { name: "fc" type: "InnerProduct" bottom: "flat" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.5 } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
REFERENCE = """
import sys, numpy as np, caffe
folder = sys.argv[1]
given, out = np.load(folder + "/given.npz"), {}
caffe.set_random_seed(3)
net = caffe.Net(folder + "/net.prototxt", caffe.TEST)
for step in range(len(given["chosen"])):
    net.blobs["x"].data[...] = given["x"][step]
    net.blobs["chosen"].data[...] = given["chosen"][step]
    net.forward()
    out[str(step)] = net.blobs["prob"].data.copy()
np.savez(folder + "/out.npz", **out)
"""


def test_batches_of_changing_sizes_in_a_whole_net(pycaffe: PyCaffe, tmp_path: Path) -> None:
    draw = Draw(0)
    chosen = np.array([[1] * 6, [0, 1, 0, 0, 1, 1], [0] * 5 + [1], [1] * 6], np.float32)
    x = draw.values((len(chosen), 6, 2, 4, 4))
    np.savez(tmp_path / "given.npz", x=x, chosen=chosen)
    (tmp_path / "net.prototxt").write_text(FILTERED)
    pycaffe(REFERENCE, tmp_path)
    wanted = np.load(tmp_path / "out.npz")
    net = _net(FILTERED)
    for step in range(len(chosen)):
        found = _probabilities(net, x[step], chosen[step])
        assert found.shape == wanted[str(step)].shape
        np.testing.assert_allclose(found, wanted[str(step)], rtol=0, atol=1e-6)


def test_a_batch_of_nothing() -> None:
    # Caffe's BLAS refuses it in the backward pass, or divides by zero.
    net = _net(FILTERED)
    assert _probabilities(net, np.zeros((6, 2, 4, 4)), np.zeros(6)).shape == (0, 2)


def test_parameters_that_would_need_another_shape() -> None:
    text = FILTERED.replace("num_output: 2 weight", "axis: 0 num_output: 2 weight")
    net = _net(text.replace('"prob" type: "Softmax"', '"prob" type: "AbsVal"'))
    with pytest.raises(BadInput, match=r"layer 'fc' .* shapes \(6, 12\), and got \(5, 12\)"):
        _probabilities(net, np.zeros((6, 2, 4, 4)), np.array([0, 1, 1, 1, 1, 1]))


def _net(text: str) -> Net:
    param = text_format.Parse(text, pb.NetParameter())
    return Net(param, pb.NetState(phase=pb.TEST), Rng(3), torch.device("cpu"))


def _probabilities(net: Net, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    for layer, values in zip(net.layers[:2], (x, chosen), strict=True):
        assert isinstance(layer, Input)
        layer.values[0] = torch.from_numpy(values.astype(np.float32))
    found: np.ndarray = net.forward().blobs["prob"].numpy()
    return found


WRITING = """
layer { name: "a" type: "DummyData" top: "a" dummy_data_param { shape { dim: 3 dim: 2 dim: 5 }
  data_filler { type: "gaussian" } } }
layer { name: "b" type: "DummyData" top: "b" dummy_data_param { shape { dim: 3 }
  data_filler { type: "constant" value: 2 } } }
layer { name: "out" type: "HDF5Output" bottom: "a" bottom: "b"
  hdf5_output_param { file_name: "NAME" } }
"""


def test_a_batch_written_as_hdf5(
    caffe_bin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for who in ("theirs", "ours"):
        Path(f"{who}.prototxt").write_text(WRITING.replace("NAME", f"{who}.h5"))
    model = pb.NetParameter(name="any", layer=[pb.LayerParameter(name="a", type="DummyData")])
    Path("any.caffemodel").write_bytes(model.SerializeToString())
    arguments = ["--weights=any.caffemodel", "--iterations"]
    # At the second batch real Caffe aborts.
    for iterations in (2, 1):
        done = subprocess.run(
            [caffe_bin, "test", "--model=theirs.prototxt", *arguments, str(iterations)],
            capture_output=True,
        )
        assert (done.returncode != 0) == (iterations == 2)
    assert command.main(["test", "--model=ours.prototxt", *arguments, "1"]) == 0
    with h5py.File("theirs.h5") as theirs, h5py.File("ours.h5") as ours:
        assert {name: (data.shape, data.dtype) for name, data in ours.items()} == {
            name: (data.shape, data.dtype) for name, data in theirs.items()
        }
        assert np.array_equal(ours["label"], theirs["label"])
    assert command.main(["test", "--model=ours.prototxt", *arguments, "2"]) == 1
    assert "layer 'out' (HDF5Output) has written a batch to ours.h5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([BATCH, (3,)], "as many labels as data"),
        ([(1, 1, 1, 1, 1), (1,)], "up to 4 axes"),
        ([BATCH, (4,)], "no file_name"),
    ],
)
def test_what_is_not_written(shapes: list[Shape], message: str) -> None:
    assert message in refusal("HDF5Output", "", shapes, tops=0)
