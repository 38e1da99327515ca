"""Convolutions over any number of axes, Im2col and SPP, as real Caffe has them."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from tests.torch_layers import Case, Draw, PyCaffe, Shape, bfloat16_types, check, refusal


def _sliding(draw: Draw, kind: str, *, least_axes: int = 0) -> Case:
    """Filters over 0 to 3 axes behind a random axis of channels."""
    axes, before = draw.number(least_axes, 3), draw.number(0, 2)
    group = draw.pick(1, 1, 2) if kind != "Im2col" else 1
    lead = tuple(draw.number(1, 3) for _ in range(before))
    sides = tuple(draw.number(3, 6) for _ in range(axes))
    shape = (*lead, group * draw.number(1, 2), *sides)
    numbers = [
        _numbers(draw, "kernel_size", axes, 1, 2 if kind != "Deconvolution" else 3),
        _numbers(draw, "stride", axes, 1, 3),
        _numbers(draw, "pad", axes, 0, 1 if kind != "Deconvolution" else 0),
        draw.pick("", _numbers(draw, "dilation", axes, 1, 2)),
        f"axis: {draw.pick(before, before - len(shape))}",
        f"force_nd_im2col: {draw.pick('true', 'false')}",
    ]
    if kind != "Im2col":
        numbers += [
            f"num_output: {group * draw.number(1, 3)} group: {group}",
            f"bias_term: {draw.pick('true', 'false')}",
        ]
    count = draw.pick(1, 1, 2) if kind != "Im2col" else 1
    bottoms = [draw.values(shape) for _ in range(count)]
    settings = f"convolution_param {{ {' '.join(numbers)} }}"
    return Case(kind, settings, bottoms, tops=count, learning=range(count))


def _numbers(draw: Draw, key: str, axes: int, least: int, most: int) -> str:
    """One number for all axes, or one for each."""
    count = draw.pick(1, axes or 1)
    return " ".join(f"{key}: {draw.number(least, most)}" for _ in range(count))


def convolution(draw: Draw) -> Case:
    return _sliding(draw, "Convolution")


def deconvolution(draw: Draw) -> Case:
    return _sliding(draw, "Deconvolution")


def im2col(draw: Draw) -> Case:
    return _sliding(draw, "Im2col", least_axes=1)


def spp(draw: Draw) -> Case:
    levels = draw.number(1, 3)
    sides = [draw.pick(4, 7, 8, 11, 12) for _ in range(2)]  # 5, 6, 9, 10 have no 4 windows
    settings = f"spp_param {{ pyramid_height: {levels} pool: {draw.pick('MAX', 'AVE')} }}"
    return Case("SPP", settings, [draw.coarse((draw.number(1, 3), draw.number(1, 3), *sides))])


ALL = [convolution, deconvolution, im2col, spp]


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path, make: Callable[[Draw], Case]) -> None:
    check(pycaffe, tmp_path, make)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_bfloat16(make: Callable[[Draw], Case]) -> None:
    case = make(Draw(7))
    wanted = torch.float32 if "AVE" in case.settings else torch.bfloat16
    assert set(bfloat16_types(case)) == {wanted}


def test_images_of_another_size() -> None:
    for kind, settings in (
        ("Convolution", "convolution_param { kernel_size: 3 num_output: 2 }"),
        ("Im2col", "convolution_param { kernel_size: 3 }"),
        ("SPP", "spp_param { pyramid_height: 2 }"),
    ):
        case = Case(kind, settings, [Draw(1).values((2, 3, 8, 8))])
        layer, _ = case.make()
        fresh = Case(kind, settings, [Draw(2).values((1, 3, 7, 11))])
        wanted, (shape,) = fresh.make()
        wanted.blobs = layer.blobs
        bottom = torch.from_numpy(fresh.bottoms[0])
        (top,) = layer.run([bottom])
        assert top.shape == shape
        assert torch.equal(top, wanted.run([bottom])[0])


def test_images_of_other_channels() -> None:
    settings = "convolution_param { kernel_size: 3 num_output: 2 }"
    layer, _ = Case("Convolution", settings, [Draw(1).values((2, 3, 8, 8))]).make()
    with pytest.raises(Exception, match="has parameters for bottoms of the shapes") as caught:
        layer.run([torch.zeros(2, 4, 8, 8)])
    assert "give it batches of one shape" in str(caught.value)


LINE, IMAGE = (2, 4, 7), (2, 4, 5, 6)


@pytest.mark.parametrize(
    ("kind", "settings", "shapes", "message"),
    [
        ("Convolution", "kernel_h: 2 kernel_w: 2 num_output: 1", [LINE], "but 1 spatial axes"),
        ("Convolution", "kernel_size: [1, 2] num_output: 1", [LINE], "2 numbers for kernel_size"),
        ("Convolution", "kernel_size: 1 axis: 3", [LINE], "axis 3"),
        ("Convolution", "kernel_size: 1 num_output: 1", [(1, 1, 1, 1, 1, 1)], "4 spatial axes"),
        ("Deconvolution", "kernel_size: 8 num_output: 1 pad: 9", [LINE], "larger than its input"),
        ("Im2col", "kernel_size: 2 axis: 2", [LINE], "no axis behind axis 2"),
        ("Im2col", "kernel_size: 8", [LINE], "larger than its input of 7"),
        ("Im2col", "", [LINE], "no kernel_size"),
    ],
)
def test_refusals(kind: str, settings: str, shapes: list[Shape], message: str) -> None:
    assert message in refusal(kind, f"convolution_param {{ {settings} }}", shapes)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ("", IMAGE, "no pyramid_height"),
        ("pyramid_height: 3", IMAGE, "cannot divide its input of 5 x 6 into 4 x 4 windows"),
        ("pyramid_height: 2", LINE, "images"),
        ("pyramid_height: 1 pool: STOCHASTIC", IMAGE, "STOCHASTIC"),
    ],
)
def test_refusals_of_pyramids(settings: str, shape: Shape, message: str) -> None:
    assert message in refusal("SPP", f"spp_param {{ {settings} }}", [shape])
