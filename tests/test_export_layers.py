"""Layers as PyTorch code: random configurations, against caffe-torch, which Caffe has judged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[export]'")

import torch

from caffe_transfer.caffe_torch.layers import known_types as trained_types
from caffe_transfer.errors import BadInput
from caffe_transfer.export import check, to_pytorch
from caffe_transfer.export.deploy import Deploy, deployed
from caffe_transfer.export.layers import known_types
from caffe_transfer.export.module import make_module
from caffe_transfer.export.weights import Array, Weight
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests import test_torch_layers as basic
from tests import test_torch_layers_axes as axes
from tests import test_torch_layers_batches as batches
from tests import test_torch_layers_recurrent as recurrent
from tests import test_torch_layers_values as values
from tests.torch_layers import Case, Draw, one_thread

MAKERS = [
    each
    for each in (*basic.ALL, *axes.ALL, *recurrent.ALL, *values.ALL, *batches.ALL)
    if each not in (values.silence, batches.parameter)  # no nets by themselves
]
COUNT = 15
# What has no code, of what the makers draw.
REFUSED = (
    "slides along 0 axes", "behind axis", "indices of the maxima, and such windows",
)  # fmt: skip


def argmax(draw: Draw) -> Case:
    shape = (draw.number(1, 3), draw.number(3, 6), draw.number(3, 5))
    axis = draw.pick("", "axis: 1", "axis: -1")
    settings = (
        f"argmax_param {{ {axis} top_k: {draw.number(1, 3)} "
        f"out_max_val: {draw.pick('true', 'false')} }}"
    )
    return Case("ArgMax", settings, [draw.values(shape)], learning=())


def softmax(draw: Draw) -> Case:
    shape = draw.shape(2)
    axis = draw.number(-len(shape), len(shape) - 1)
    return Case("Softmax", f"softmax_param {{ axis: {axis} }}", [draw.values(shape)])


@pytest.mark.parametrize("make", [*MAKERS, argmax, softmax], ids=lambda make: make.__name__)
def test_as_in_caffe_torch(make: Callable[[Draw], Case]) -> None:
    draw, done = Draw(14), 0
    for _ in range(COUNT):
        case = make(draw)
        case.phase, case.forced = pb.TEST, True
        case.draw_rest(draw)
        try:
            found = exported(case)
        except BadInput as error:
            if any(each in str(error) for each in REFUSED):
                continue
            raise
        check.difference(found, run_layer(case), str(case))
        done += 1
    assert done > 2


def exported(case: Case) -> dict[str, Array]:
    """The tops by the module that a case's net becomes."""
    deploy = deploy_of(case)
    weights = [
        Weight(f"x.{index}", "x", case.type, index, "", value)
        for index, value in enumerate(case.parameters)
    ]
    net = to_pytorch.built(make_module(deploy, weights), {})
    inputs = {f"b{index}": value for index, value in enumerate(case.bottoms)}
    return to_pytorch.outputs(net, deploy, {name: inputs[name] for name in deploy.inputs})


def deploy_of(case: Case) -> Deploy:
    return deployed(text_format.Parse(case.net(), pb.NetParameter()))


def run_layer(case: Case) -> dict[str, Array]:
    """The tops by caffe-torch's layer."""
    layer, _ = case.make()
    for blob, value in zip(layer.blobs, case.parameters, strict=True):
        blob.copy_(torch.from_numpy(value))
    with one_thread(), torch.no_grad():
        tops = layer.run([torch.from_numpy(value) for value in case.bottoms])
    return {f"t{index}": np.asarray(top.contiguous()) for index, top in enumerate(tops)}


def test_every_type_that_computes_has_code() -> None:
    lacking = set(trained_types()) - set(known_types())
    sources = {"Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData"}
    assert {kind for kind in lacking if not kind.endswith("Loss")} == {
        *sources, "Accuracy", "HDF5Output", "Python", "Silence",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings", "shape", "message"),
    [
        ("LRN", "lrn_param { local_size: 4 }", (1, 3, 5, 5), "local_size 4, which is even"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", (1, 3, 5, 5),
         "is STOCHASTIC"),
        ("BatchNorm", "", (1, 2, 1, 1, 1, 1), "normalizes blobs of 6 axes"),
        ("Im2col", "convolution_param { kernel_size: 1 }", (1, 2, 3), "slides along 1 axes"),
    ],
)  # fmt: skip
def test_what_has_no_code_names_the_layer(
    kind: str, settings: str, shape: tuple[int, ...], message: str
) -> None:
    case = Case(kind, settings, [np.zeros(shape, np.float32)], phase=pb.TEST)
    case.parameters = [np.zeros(1, np.float32)] * 3
    with pytest.raises(BadInput, match=message) as caught:
        exported(case)
    assert str(caught.value).startswith(f"layer 'x' ({kind}) ")
    assert "export the weights --to safetensors" in str(caught.value)


def test_a_file_with_a_layer_of_each_of_the_helpers_imports_nothing_else(tmp_path: Path) -> None:
    draw = Draw(3)
    case = recurrent.lstm(draw)
    case.draw_rest(draw)
    weights = [Weight("", "x", "LSTM", i, "", v) for i, v in enumerate(case.parameters)]
    text = make_module(deploy_of(case), weights).text("x.pt", {})
    assert "caffe_transfer" not in text
    assert "fmt: skip" not in text
