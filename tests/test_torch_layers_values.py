"""Layers that work on each value, move values or add them up, as real Caffe has them."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch.layers import make_layer
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_layers import (
    TOLERANCE,
    Case,
    Draw,
    PyCaffe,
    Shape,
    bfloat16_types,
    check,
    refusal,
)


def relu(draw: Draw) -> Case:
    slope = draw.pick(0, draw.real(-0.5, 0.5))
    settings = f"relu_param {{ negative_slope: {slope} }}"
    return Case("ReLU", settings, [draw.coarse(draw.shape())])


def prelu(draw: Draw) -> Case:
    settings = f"prelu_param {{ channel_shared: {draw.pick('true', 'false')} }}"
    return Case("PReLU", settings, [draw.coarse(draw.shape(2))])


def elu(draw: Draw) -> Case:
    return Case("ELU", f"elu_param {{ alpha: {draw.real(0, 2)} }}", [draw.coarse(draw.shape())])


def clip(draw: Draw) -> Case:
    settings = f"clip_param {{ min: {draw.pick(-1, -0.5, 0)} max: {draw.pick(0, 0.5, 1)} }}"
    return Case("Clip", settings, [draw.coarse(draw.shape())])


def swish(draw: Draw) -> Case:
    settings = f"swish_param {{ beta: {draw.pick(1, 0, draw.real(-2, 2))} }}"
    return Case("Swish", settings, [draw.between(-3, 3, draw.shape())])


def sigmoid(draw: Draw) -> Case:
    return Case("Sigmoid", "", [draw.between(-3, 3, draw.shape())])


def tanh(draw: Draw) -> Case:
    return Case("TanH", "", [draw.between(-2, 2, draw.shape())])


def abs_val(draw: Draw) -> Case:
    return Case("AbsVal", "", [draw.coarse(draw.shape())])


def bnll(draw: Draw) -> Case:
    return Case("BNLL", "", [draw.values(draw.shape(), 20)])


def power(draw: Draw) -> Case:
    power = draw.pick(0, 1, 2, 3, 0.5, -1, draw.real(-2, 3))
    shift = draw.pick(0, draw.real(0.1, 2))
    scale = draw.pick(1, draw.real(0.1, 2), 0 if shift else 1)
    settings = f"power_param {{ power: {power} scale: {scale} shift: {shift} }}"
    return Case("Power", settings, [draw.between(0.2, 3, draw.shape())])


def exp(draw: Draw) -> Case:
    settings = (
        f"exp_param {{ base: {draw.pick(-1, 1, draw.real(0.1, 5))} "
        f"scale: {draw.pick(1, draw.real(-2, 2))} shift: {draw.pick(0, draw.real(-2, 2))} }}"
    )
    return Case("Exp", settings, [draw.values(draw.shape())])


def log(draw: Draw) -> Case:
    settings = (
        f"log_param {{ base: {draw.pick(-1, 0.5, draw.real(1.5, 5))} "
        f"scale: {draw.pick(1, draw.real(0.1, 2))} shift: {draw.pick(0, draw.real(0, 2))} }}"
    )
    return Case("Log", settings, [draw.between(0.2, 9, draw.shape())])


def threshold(draw: Draw) -> Case:
    settings = f"threshold_param {{ threshold: {draw.pick(0, 0.5, -1)} }}"
    return Case("Threshold", settings, [draw.coarse(draw.shape())], learning=(), backward=False)


def concat(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.number(0, len(shape) - 1)
    count = draw.number(1, 4)
    bottoms = [
        draw.values((*shape[:axis], draw.number(1, 4), *shape[axis + 1 :])) for _ in range(count)
    ]
    key = draw.pick(f"axis: {axis}", f"axis: {axis - len(shape)}", f"concat_dim: {axis}")
    return Case("Concat", f"concat_param {{ {key} }}", bottoms, learning=range(count))


def slice_(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.number(0, len(shape) - 1)
    key = draw.pick(f"axis: {axis}", f"axis: {axis - len(shape)}", f"slice_dim: {axis}")
    tops = draw.number(1, 3)
    if draw.pick(True, False):
        length, points = tops * draw.number(1, 3), []
    else:
        parts = [draw.number(1, 3) for _ in range(tops)]
        length, points = sum(parts), [sum(parts[: index + 1]) for index in range(tops - 1)]
    settings = f"slice_param {{ {key} {' '.join(f'slice_point: {point}' for point in points)} }}"
    return Case("Slice", settings, [draw.values((*shape[:axis], length, *shape[axis + 1 :]))],
                tops=tops)  # fmt: skip


def split(draw: Draw) -> Case:
    return Case("Split", "", [draw.values(draw.shape())], tops=draw.number(1, 4))


def flatten(draw: Draw) -> Case:
    shape = draw.shape()
    start = draw.number(0, len(shape) - 1)
    end = draw.number(start, len(shape) - 1) - draw.pick(0, len(shape))
    settings = f"flatten_param {{ axis: {start} end_axis: {end} }}"
    return Case("Flatten", settings, [draw.values(shape)])


def reshape(draw: Draw) -> Case:
    shape = draw.shape()
    start = draw.number(0, len(shape))
    count = draw.number(0, len(shape) - start)
    taken = shape[start : start + count]
    new = [draw.pick(length, length, 0) for length in taken]
    if draw.pick(True, False):
        new = draw.pick([math.prod(taken)], [1, *taken], [*reversed(taken)])
    if new and draw.pick(True, False):
        new[draw.number(0, len(new) - 1)] = -1
    axis = draw.pick(start, start - len(shape) - 1)
    whole = start + count == len(shape)
    settings = (
        f"reshape_param {{ axis: {axis} num_axes: {draw.pick(count, -1) if whole else count} "
        f"shape {{ {' '.join(f'dim: {length}' for length in new)} }} }}"
    )
    return Case("Reshape", settings, [draw.values(shape)])


def crop(draw: Draw) -> Case:
    shape = draw.shape(2)
    axis = draw.number(0, len(shape) - 1)
    size = tuple(draw.number(1, length) for length in shape)
    room = [whole - part for whole, part in zip(shape[axis:], size[axis:], strict=True)]
    offsets = draw.pick([], [min(room)], [draw.number(0, most) for most in room])
    settings = (
        f"crop_param {{ axis: {draw.pick(axis, axis - len(shape))} "
        f"{' '.join(f'offset: {offset}' for offset in offsets)} }}"
    )
    return Case("Crop", settings, [draw.values(shape), draw.values(size)])


def tile(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.number(-len(shape), len(shape) - 1)
    settings = f"tile_param {{ axis: {axis} tiles: {draw.number(1, 4)} }}"
    return Case("Tile", settings, [draw.values(shape)])


def silence(draw: Draw) -> Case:
    count = draw.number(1, 3)
    bottoms = [draw.values(draw.shape()) for _ in range(count)]
    return Case("Silence", "", bottoms, tops=0, learning=range(count))


def eltwise(draw: Draw) -> Case:
    count = draw.number(2, 4)
    shape: Shape = draw.shape()
    operation = draw.pick("PROD", "SUM", "MAX")
    factors = [draw.real(-2, 2) for _ in range(count)] if operation == "SUM" else []
    settings = (
        f"eltwise_param {{ operation: {operation} "
        f"{' '.join(f'coeff: {factor}' for factor in draw.pick([], factors))} }}"
    )
    return Case("Eltwise", settings, [draw.coarse(shape) for _ in range(count)],
                learning=range(count))  # fmt: skip


def reduction(draw: Draw) -> Case:
    shape = draw.shape()
    axis = draw.number(-len(shape), len(shape) - 1)
    settings = (
        f"reduction_param {{ operation: {draw.pick('SUM', 'ASUM', 'SUMSQ', 'MEAN')} "
        f"axis: {axis} coeff: {draw.pick(1, draw.real(-2, 2))} }}"
    )
    return Case("Reduction", settings, [draw.coarse(shape)])


ALL = [
    relu, prelu, elu, clip, swish, sigmoid, tanh, abs_val, bnll, power, exp, log, threshold,
    concat, slice_, split, flatten, reshape, crop, tile, silence, eltwise, reduction,
]  # fmt: skip


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path, make: Callable[[Draw], Case]) -> None:
    # The gradient of the one slope that PReLU shares is a long sum, whose terms cancel.
    check(pycaffe, tmp_path, make, tolerance=1e-4 if make is prelu else TOLERANCE)


def test_clipped_in_place_all_gradients_pass(pycaffe: PyCaffe, tmp_path: Path) -> None:
    code = """
import sys, caffe
open(sys.argv[1], "w").write(sys.argv[2])
net = caffe.Net(sys.argv[1], caffe.TRAIN)
net.blobs["x"].data[...] = [-3, 0.5, 3]
net.forward()
net.blobs["x"].diff[...] = [1, 2, 3]
net.backward()
print(net.blobs["x"].data.tolist(), net.blobs["x"].diff.tolist())
"""
    net = """force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }
layer { name: "clip" type: "Clip" bottom: "x" top: "x" clip_param { min: -1 max: 1 } }"""
    assert pycaffe(code, tmp_path / "net.prototxt", net) == "[-1.0, 0.5, 1.0] [1.0, 2.0, 3.0]\n"
    param = text_format.Parse(net, pb.NetParameter()).layer[1]
    layer = make_layer(param, pb.TRAIN, Rng(0))
    layer.set_up([(3,)])
    x = torch.tensor([-3, 0.5, 3], requires_grad=True)
    (top,) = layer.run([x])
    torch.autograd.backward(top, torch.tensor([1.0, 2, 3]))
    assert top.tolist() == [-1, 0.5, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 3]


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_bfloat16(make: Callable[[Draw], Case]) -> None:
    case = make(Draw(7))
    keeps = {"ReLU", "AbsVal", "Clip", "Slice", "Split", "Flatten", "Reshape", "Crop", "Tile"}
    wanted = torch.bfloat16 if case.type in keeps else torch.float32
    assert set(bfloat16_types(case)) <= {wanted}


@pytest.mark.parametrize(
    ("kind", "settings", "shapes", "message"),
    [
        ("PReLU", "", [(3,)], "channels"),
        ("Clip", "clip_param { min: 2 max: 1 }", [(3,)], "min 2, which is above its max 1"),
        ("Exp", "exp_param { base: 0 }", [(3,)], "base 0"),
        ("Log", "log_param { base: -2 }", [(3,)], "base -2"),
        ("Log", "log_param { base: 1 }", [(3,)], "base 1"),
        ("Concat", "concat_param { axis: 1 concat_dim: 1 }", [(2, 3)], "not both"),
        ("Concat", "concat_param { axis: 1 }", [(2, 3), (3, 3)], "cannot join"),
        ("Concat", "concat_param { axis: 1 }", [(2, 3), (2,)], "cannot join"),
        ("Slice", "slice_param { axis: 1 slice_dim: 1 }", [(2, 3)], "not both"),
        ("Slice", "slice_param { axis: 2 }", [(2, 3)], "axis 2"),
        ("Slice", "slice_param { slice_point: 1 }", [(2, 3)], "1 slice points"),
        ("Flatten", "flatten_param { axis: 2 end_axis: 0 }", [(2, 3, 4)], "end_axis"),
        ("Reshape", "reshape_param { shape { dim: 4 } }", [(2, 3)], "cannot give"),
        ("Reshape", "reshape_param { shape { dim: 4 dim: -1 } }", [(2, 3)], "cannot give"),
        ("Reshape", "reshape_param { shape { dim: -2 dim: -3 } }", [(2, 3)], "cannot give"),
        ("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }", [(2, 3)], "more than one"),
        ("Reshape", "reshape_param { shape { dim: 6 dim: 1 dim: 0 } }", [(2, 3)], "no axis"),
        ("Reshape", "reshape_param { axis: 3 }", [(2, 3)], "axis 3"),
        ("Reshape", "reshape_param { axis: 1 num_axes: 2 }", [(2, 3)], "num_axes 2"),
        ("Crop", "crop_param { axis: 0 offset: 1 }", [(2, 3), (2, 2)], "after 1"),
        ("Crop", "crop_param { axis: 0 offset: [0, 0, 0] }", [(2, 3), (2, 2)], "3 offsets"),
        ("Crop", "crop_param { axis: 1 }", [(2, 3), (2,)], "cannot crop"),
        ("Tile", "", [(2, 3)], "0 tiles"),
        ("Eltwise", "", [(2, 3), (3, 2)], "one shape"),
        ("Eltwise", "", [(2, 3)], "1 bottoms"),
        ("Eltwise", "eltwise_param { coeff: 1 }", [(2, 3), (2, 3)], "1 coefficients"),
        ("Eltwise", "eltwise_param { operation: PROD coeff: [1, 2] }", [(2,), (2,)], "product"),
        ("Reduction", "reduction_param { axis: -3 }", [(2, 3)], "axis -3"),
    ],
)  # fmt: skip
def test_refusals(kind: str, settings: str, shapes: list[Shape], message: str) -> None:
    assert message in refusal(kind, settings, shapes)


def test_uneven_slices() -> None:
    assert "even parts" in refusal("Slice", "", [(2, 3)], tops=2)
    settings = "slice_param { slice_point: 3 }"
    assert "must rise" in refusal("Slice", settings, [(2, 3)], tops=2)
