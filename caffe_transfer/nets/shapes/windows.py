"""Layers that slide windows over images (batch, channels, height, width), but for filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, refuse, rule

Pair = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Windows:
    """The windows of a pooling, in pixels."""

    kernel: Pair
    stride: Pair
    pad: Pair


def pooling_windows(layer: pb.LayerParameter, sides: Pair) -> Windows:
    """The windows of a Pooling over images of (height, width).

    Raises:
        BadInput: a setting is missing, given twice, or not above 0, or a pad is as large as its
            kernel.
    """
    given = layer.pooling_param
    stride = _positive(layer, "stride", _pair(layer, "stride", "stride", 1))
    pad = _pair(layer, "pad", "pad", 0)
    if not given.global_pooling:
        kernel = _positive(layer, "kernel", _pair(layer, "kernel", "kernel_size"))
    else:
        if any(given.HasField(name) for name in ("kernel_size", "kernel_h", "kernel_w")):
            raise refuse(layer, "is global, so that its kernel is the image; give no kernel")
        if pad != (0, 0) or stride != (1, 1):
            raise refuse(layer, "is global, so that it takes no pad and no stride")
        kernel = sides
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise refuse(layer, "has a pad that is not smaller than its kernel")
    return Windows(kernel, stride, pad)


@rule("Pooling", tops=(1, 2))
def _pooling(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """pooling_layer.cpp; a second top of MAX holds the indices of the maxima."""
    batch, channels, height, width = image(layer, bottoms[0])
    if len(layer.top) == 2 and layer.pooling_param.pool != pb.PoolingParameter.MAX:
        raise refuse(layer, "has a second top, the indices of the maxima, but is not MAX")
    windows = pooling_windows(layer, (height, width))
    sides = (_pooled(layer, windows, 0, height), _pooled(layer, windows, 1, width))
    return Shapes(((batch, channels, *sides),) * len(layer.top))


def _pooled(layer: pb.LayerParameter, windows: Windows, axis: int, side: int) -> int:
    """The number of windows along an axis: rounded up, less a last one that starts in padding."""
    kernel, pad, stride = windows.kernel[axis], windows.pad[axis], windows.stride[axis]
    room = side + 2 * pad - kernel
    ceil = layer.pooling_param.round_mode == pb.PoolingParameter.CEIL
    count = (-(-room // stride) if ceil else room // stride) + 1
    if any(windows.pad) and (count - 1) * stride >= side + pad:
        count -= 1
    if count < 1:
        raise refuse(layer, f"has a window larger than its input, {side} pixels; use larger images")
    if (count - 1) * stride >= side + pad:  # Caffe would write outside its memory
        raise refuse(
            layer, f"has a last window outside its input of {side} pixels; use a smaller stride"
        )
    return count


@rule("SPP")
def _spatial_pyramid(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """spp_layer.cpp: the maxima or means of 1, 4, 16, ... parts of an image in a row."""
    batch, channels, _, _ = image(layer, bottoms[0])
    levels = pyramid(layer, bottoms[0])
    if len(levels) == 1:
        return Shapes(((batch, channels, 1, 1),))
    return Shapes(((batch, channels * sum(4**level for level in range(len(levels)))),))


def pyramid(layer: pb.LayerParameter, shape: Shape) -> list[pb.LayerParameter]:
    """The Pooling layers of an SPP layer, from one window up; each level has twice as many a side.

    Raises:
        BadInput: the bottom is no image, or too small for so many levels.
    """
    _, _, *sides = image(layer, shape)
    height = layer.spp_param.pyramid_height
    if not height:
        raise refuse(layer, "has no pyramid_height above 0")
    if min(sides) < 1:
        raise refuse(layer, f"has an input of {sides[0]} x {sides[1]}; use larger images")
    return [_level(layer, 2**level, sides) for level in range(height)]


def _level(layer: pb.LayerParameter, number: int, sides: Sequence[int]) -> pb.LayerParameter:
    """A Pooling into number x number windows, which cover the image and as little more as can be.

    SPPLayer::GetPoolingParam.
    """
    kernel = [-(-side // number) for side in sides]
    pad = [(length * number - side + 1) // 2 for length, side in zip(kernel, sides, strict=True)]
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise refuse(
            layer,
            f"cannot divide its input of {sides[0]} x {sides[1]} into {number} x {number} windows; "
            "use a smaller pyramid_height or larger images",
        )
    found = pb.LayerParameter(name=layer.name, type="Pooling", bottom=layer.bottom, top=layer.top)
    given = found.pooling_param
    methods = pb.SPPParameter
    given.pool = {
        methods.MAX: pb.PoolingParameter.MAX,
        methods.AVE: pb.PoolingParameter.AVE,
        methods.STOCHASTIC: pb.PoolingParameter.STOCHASTIC,
    }[layer.spp_param.pool]
    given.kernel_h, given.kernel_w = given.stride_h, given.stride_w = kernel
    given.pad_h, given.pad_w = pad
    return found


@rule("LRN")
def _lrn(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """lrn_layer.cpp."""
    return Shapes((image(layer, bottoms[0]),))


def image(layer: pb.LayerParameter, shape: Shape) -> tuple[int, int, int, int]:
    """(batch, channels, height, width) of a blob.

    Raises:
        BadInput: it has other axes.
    """
    if len(shape) != 4:
        raise refuse(layer, f"needs images (batch, channels, height, width), not the shape {shape}")
    return shape[0], shape[1], shape[2], shape[3]


def _pair(
    layer: pb.LayerParameter,
    stem: Literal["kernel", "stride", "pad"],
    both: Literal["kernel_size", "stride", "pad"],
    default: int | None = None,
) -> Pair:
    """(height, width) of a setting given as STEM_h and STEM_w, or as one number for both.

    Args:
        default: both numbers where none are given; None: they are required.

    Raises:
        BadInput: the setting is missing, or given twice.
    """
    given = layer.pooling_param
    fields = (f"{stem}_h", f"{stem}_w")
    apart = [field for field in fields if given.HasField(field)]
    if apart and (given.HasField(both) or len(apart) == 1):
        raise refuse(layer, f"needs either {both}, or both of {fields[0]} and {fields[1]}")
    if apart:
        return getattr(given, fields[0]), getattr(given, fields[1])
    number: int | None = getattr(given, both) if given.HasField(both) else default
    if number is None:
        raise refuse(layer, f"has no {both}")
    return number, number


def _positive(layer: pb.LayerParameter, what: str, values: Pair) -> Pair:
    if min(values) < 1:
        raise refuse(layer, f"has {what} {values[0]} x {values[1]}; both must be above 0")
    return values
