"""Layers that learn, pool and normalize, as real Caffe has them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch.layers import parts
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_layers import (
    Case,
    Draw,
    PyCaffe,
    bfloat16_types,
    check,
    refusal,
    run_ours,
)


def _windows(draw: Draw, least_side: int, *, dilation: bool = False) -> str:
    """Kernel, stride and pad, each given as one number or as two."""
    dilated = draw.pick(1, 2) if dilation and least_side >= 5 else 1
    most = min(4, (least_side - 1) // dilated + 1)
    kernel = (draw.number(1, most), draw.number(1, most))
    return " ".join([
        _pair(draw, "kernel", "kernel_size", kernel),
        _pair(draw, "stride", "stride", (draw.number(1, 3), draw.number(1, 3))),
        draw.pick(
            _pair(draw, "pad", "pad", (draw.number(0, 2), draw.number(0, 2))),
            draw.pick("pad_h: 1", "pad_w: 1"),
        ),
        f"dilation: {dilated}" if dilated > 1 else "",
    ])  # fmt: skip


def _pair(draw: Draw, stem: str, both: str, numbers: tuple[int, int]) -> str:
    if draw.pick(True, False):
        return f"{both}: {numbers[0]}"
    return f"{stem}_h: {numbers[0]} {stem}_w: {numbers[1]}"


def _sliding(draw: Draw, kind: str) -> Case:
    group = draw.pick(1, 1, 2, 3)
    shape = draw.image()
    shape = (shape[0], group * draw.number(1, 3), *shape[2:])
    settings = (
        f"convolution_param {{ num_output: {group * draw.number(1, 4)} group: {group} "
        f"bias_term: {draw.pick('true', 'false')} "
        f"{_windows(draw, min(shape[2:]), dilation=True)} }}"
    )
    count = draw.pick(1, 1, 1, 2)
    bottoms = [draw.values(shape) for _ in range(count)]
    return Case(kind, settings, bottoms, tops=count, learning=range(count))


def convolution(draw: Draw) -> Case:
    return _sliding(draw, "Convolution")


def deconvolution(draw: Draw) -> Case:
    while True:  # the padding may take all of a small top
        case = _sliding(draw, "Deconvolution")
        given = case.layer().convolution_param
        if max([*given.pad, given.pad_h, given.pad_w]) == 0 or min(case.bottoms[0].shape[2:]) > 4:
            return case


def inner_product(draw: Draw) -> Case:
    shape = draw.shape(1)
    axis = draw.number(-len(shape), len(shape) - 1)
    settings = (
        f"inner_product_param {{ num_output: {draw.number(1, 7)} axis: {axis} "
        f"transpose: {draw.pick('true', 'false')} bias_term: {draw.pick('true', 'false')} }}"
    )
    return Case("InnerProduct", settings, [draw.values(shape)])


def pooling(draw: Draw) -> Case:
    shape = draw.image()
    pool = draw.pick("MAX", "AVE")
    settings = "global_pooling: true"
    if draw.number(0, 5):
        kernel = (draw.number(1, min(4, shape[2])), draw.number(1, min(4, shape[3])))
        pads = tuple(draw.number(0, side - 1) for side in kernel)
        # A stride above the kernel's side may put the last window outside, which is refused.
        strides = tuple(draw.number(1, min(3, side)) for side in kernel)
        settings = (
            f"kernel_h: {kernel[0]} kernel_w: {kernel[1]} pad_h: {pads[0]} pad_w: {pads[1]} "
            f"stride_h: {strides[0]} stride_w: {strides[1]} "
            f"round_mode: {draw.pick('CEIL', 'CEIL', 'FLOOR')}"
        )
    tops = draw.pick(1, 2) if pool == "MAX" else 1
    return Case("Pooling", f"pooling_param {{ pool: {pool} {settings} }}", [draw.coarse(shape)],
                tops=tops)  # fmt: skip


def lrn(draw: Draw) -> Case:
    region = draw.pick("ACROSS_CHANNELS", "ACROSS_CHANNELS", "WITHIN_CHANNEL")
    settings = (
        f"lrn_param {{ norm_region: {region} local_size: {draw.pick(1, 3, 5, 7)} "
        f"alpha: {draw.real(0.01, 2)} beta: {draw.pick(0.75, 0.5, draw.real(0.1, 2))} "
        f"k: {draw.pick(1, draw.real(0.5, 2))} }}"
    )
    return Case("LRN", settings, [draw.values(draw.image(channels=9))])


def batch_norm(draw: Draw) -> Case:
    shape = draw.shape(2)
    settings = (
        f"batch_norm_param {{ eps: {draw.pick(0.00001, 0.01)} "
        f"moving_average_fraction: {draw.pick(0.999, 0.5)} "
        + draw.pick("", "use_global_stats: true", "use_global_stats: false") + " }"
    )  # fmt: skip
    shape = (shape[0] + 2, *shape[1:])
    case = Case("BatchNorm", settings, [draw.values(shape)], phase=draw.pick(pb.TRAIN, pb.TEST))
    number = draw.pick(0.0, 3.5)
    case.parameters = [draw.values(shape[1:2]), draw.between(0.5, 2, shape[1:2]),
                       np.array([number], np.float32)]  # fmt: skip
    return case


def mvn(draw: Draw) -> Case:
    settings = (
        f"mvn_param {{ across_channels: {draw.pick('true', 'false')} "
        f"normalize_variance: {draw.pick('true', 'true', 'false')} eps: {draw.pick(1e-9, 0.1)} }}"
    )
    shape = draw.pick(draw.image(), draw.image()[:3])
    return Case("MVN", settings, [draw.values(shape)])


def scale(draw: Draw) -> Case:
    bias = draw.pick("true", "false")
    return _spread(draw, "Scale", "scale_param", f"bias_term: {bias}")


def bias(draw: Draw) -> Case:
    return _spread(draw, "Bias", "bias_param", "")


def _spread(draw: Draw, kind: str, param: str, more: str) -> Case:
    shape = draw.shape(1)
    axis = draw.number(0, len(shape) - 1)
    count = draw.number(0, len(shape) - axis)
    start = draw.pick(axis, axis - len(shape))
    if draw.pick(True, False):
        settings = f"{param} {{ axis: {start} {more} }}"
        bottoms = [draw.values(shape), draw.values(shape[axis : axis + count])]
        return Case(kind, settings, bottoms, learning=(0, 1))
    count = draw.pick(count, -1)
    settings = f"{param} {{ axis: {start} num_axes: {count} {more} }}"
    return Case(kind, settings, [draw.values(shape)])


def dropout(draw: Draw) -> Case:
    settings = f"dropout_param {{ dropout_ratio: {draw.pick(0.5, 0.1, 0.9)} }}"
    return Case("Dropout", settings, [draw.values(draw.shape(1))],
                phase=draw.pick(pb.TRAIN, pb.TRAIN, pb.TEST))  # fmt: skip


ALL = [
    convolution, deconvolution, inner_product, pooling, lrn, batch_norm, mvn, scale, bias, dropout,
]  # fmt: skip


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path, make: Callable[[Draw], Case]) -> None:
    check(pycaffe, tmp_path, make)


REAL = (32, 8, 112, 112)
REAL_SIZES = {
    "BatchNorm": "",
    "Scale": "scale_param { bias_term: true }",
    "Bias": "",
    "MVN": "",
    "Pooling": "pooling_param { pool: AVE global_pooling: true }",
    "InnerProduct": "inner_product_param { num_output: 4 axis: 2 }",
    "Convolution": "convolution_param { num_output: 8 kernel_size: 3 pad: 1 group: 8 }",
    "Deconvolution": "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }",
}


@pytest.mark.parametrize("kind", REAL_SIZES)
def test_sums_over_many_values(pycaffe: PyCaffe, tmp_path: Path, kind: str) -> None:
    """Where a layer sums over a whole batch of large images."""

    def make(draw: Draw) -> Case:
        bottom = draw.values(REAL if kind != "InnerProduct" else (1 << 10, 1 << 8, 8))
        return Case(kind, REAL_SIZES[kind], [bottom + 1])

    check(pycaffe, tmp_path, make, count=1)


def test_batch_norm_of_one_value() -> None:
    # No pycaffe: Caffe's top is 0, and ours what rounding leaves of it.
    bottom = np.array([[3.0, -2.0]], np.float32)
    blobs = [np.zeros(2, np.float32), np.ones(2, np.float32), np.zeros(1, np.float32)]
    found = run_ours(Case("BatchNorm", "", [bottom], parameters=blobs, top_diffs=[bottom]))
    assert np.abs(found["top0"]).max() < 1e-3
    assert np.array_equal(found["parameter0"], bottom[0])
    assert np.allclose(found["parameter1"], 0.999)
    assert found["parameter2"] == 1


def test_lrn_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Draw(5)
    case = Case("LRN", "", [draw.values((7, 4, 3, 5))], top_diffs=[draw.values((7, 4, 3, 5))])
    whole = run_ours(case)
    for size in (1, 130):
        monkeypatch.setattr(parts, "_VALUES", size)
        found = run_ours(case, fast_order=True)
        assert all(np.allclose(found[name], whole[name], rtol=1e-6) for name in whole)


@given(st.data())
def test_maxima_without_their_places(data: st.DataObject) -> None:
    sides = [data.draw(st.integers(1, 9)) for _ in range(2)]
    kernel = [data.draw(st.integers(1, side)) for side in sides]
    stride = [data.draw(st.integers(1, width)) for width in kernel]
    settings = (
        f"pooling_param {{ kernel_h: {kernel[0]} kernel_w: {kernel[1]} "
        f"stride_h: {stride[0]} stride_w: {stride[1]} }}"
    )
    values = np.random.default_rng(0).standard_normal((2, 3, *sides)).astype(np.float32)
    layer, _ = Case("Pooling", settings, [values]).make()
    bottom = torch.from_numpy(values)
    (learning,) = layer.forward([bottom.clone().requires_grad_()])
    (frozen,) = layer.forward([bottom.contiguous(memory_format=torch.channels_last)])
    assert learning.requires_grad
    assert torch.equal(frozen, learning)


def test_masks_follow_the_seed() -> None:
    case = Case("Dropout", "", [np.ones((4, 50), np.float32)])
    layer, _ = case.make()
    first, second = (layer.forward([torch.ones(4, 50)])[0] for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, case.make()[0].forward([torch.ones(4, 50)])[0])


def test_a_window_outside_its_input_is_no_window() -> None:
    # Caffe pools it to the smallest float32, and its backward writes outside its memory.
    settings = "pooling_param { kernel_size: 1 stride: 3 }"
    assert "outside its input of 5 pixels" in refusal("Pooling", settings, [(1, 1, 5, 5)])


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_bfloat16(make: Callable[[Draw], Case]) -> None:
    case = make(Draw(7))
    multiplies = case.type in {"Convolution", "Deconvolution", "InnerProduct"}
    wanted = torch.bfloat16 if multiplies or case.type == "Dropout" else torch.float32
    assert set(bfloat16_types(case)) == {wanted}


IMAGE = (2, 4, 5, 6)


@pytest.mark.parametrize(
    ("kind", "settings", "shapes", "message"),
    [
        ("Convolution", "", [IMAGE], "no kernel_size"),
        ("Convolution", "convolution_param { kernel_size: 2 }", [IMAGE], "no num_output"),
        ("Convolution", "convolution_param { kernel_h: 2 }", [IMAGE], "both of kernel_h"),
        ("Convolution", "convolution_param { kernel_size: 0 }", [IMAGE], "above 0"),
        ("Convolution", "convolution_param { kernel_size: [1, 2, 3] }", [IMAGE], "3 numbers"),
        ("Convolution", "convolution_param { kernel_size: 2 dilation: [1, 2, 3] }", [IMAGE],
         "3 numbers for dilation"),
        ("Convolution", "convolution_param { kernel_size: 2 stride: 0 }", [IMAGE], "stride 0 x 0"),
        ("Convolution", "convolution_param { kernel_size: 2 axis: 2 }", [IMAGE], "axis 2"),
        ("Convolution", "convolution_param { kernel_size: 2 axis: 7 }", [IMAGE], "axis 7"),
        ("Convolution", "convolution_param { kernel_size: 2 num_output: 4 group: 3 }", [IMAGE],
         "3 groups"),
        ("Convolution", "convolution_param { kernel_size: 6 num_output: 4 }", [IMAGE], "larger"),
        ("Convolution", "convolution_param { kernel_size: 2 num_output: 4 }", [(2, 3)], "images"),
        ("Convolution", "convolution_param { kernel_size: 2 num_output: 4 }", [IMAGE, IMAGE],
         "a top for each bottom"),
        ("Deconvolution", "convolution_param { kernel_size: 1 num_output: 4 pad: 3 }", [IMAGE],
         "larger"),
        ("InnerProduct", "", [IMAGE], "num_output"),
        ("InnerProduct", "inner_product_param { num_output: 2 axis: 4 }", [IMAGE], "axis 4"),
        ("Pooling", "", [IMAGE], "no kernel_size"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", [IMAGE], "STOCHASTIC"),
        ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", [IMAGE], "pad"),
        ("Pooling", "pooling_param { kernel_size: 9 }", [IMAGE], "larger"),
        ("Pooling", "pooling_param { global_pooling: true kernel_size: 2 }", [IMAGE], "no kernel"),
        ("Pooling", "pooling_param { global_pooling: true stride: 2 }", [IMAGE], "no stride"),
        ("LRN", "lrn_param { local_size: 4 }", [IMAGE], "odd"),
        ("LRN", "", [(2, 3)], "images"),
        ("BatchNorm", "", [(3,)], "channels"),
        ("MVN", "", [(1, 1, 1, 1, 1)], "4 axes"),
        ("Scale", "", [IMAGE, (3,)], "must be (4,)"),
        ("Scale", "scale_param { num_axes: 4 }", [IMAGE], "4 axes"),
        ("Bias", "bias_param { axis: 3 num_axes: 2 }", [IMAGE], "2 axes"),
        ("Dropout", "dropout_param { dropout_ratio: 1 }", [IMAGE], "below 1"),
        ("Nonsense", "", [IMAGE], "unknown type"),
    ],
)  # fmt: skip
def test_refusals(kind: str, settings: str, shapes: list[tuple[int, ...]], message: str) -> None:
    assert message in refusal(kind, settings, shapes)


def test_two_tops_of_averages() -> None:
    settings = "pooling_param { pool: AVE kernel_size: 2 }"
    assert "not MAX" in refusal("Pooling", settings, [IMAGE], tops=2)


def test_bottoms_of_two_shapes() -> None:
    settings = "convolution_param { kernel_size: 2 num_output: 4 }"
    assert "one shape" in refusal("Convolution", settings, [IMAGE, (2, 4, 5, 5)], tops=2)
