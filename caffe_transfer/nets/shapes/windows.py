"""Layers that slide windows over images (batch, channels, height, width)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, canonical_axis, refuse, rule

Pair = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution or a pooling, in pixels."""

    kernel: Pair
    stride: Pair
    pad: Pair
    dilation: Pair = (1, 1)

    @property
    def extent(self) -> Pair:
        """The pixels that a window spans, gaps of dilation included."""
        (height, width), (down, right) = self.kernel, self.dilation
        return down * (height - 1) + 1, right * (width - 1) + 1


def convolution_windows(layer: pb.LayerParameter) -> Windows:
    """The filters of a Convolution or Deconvolution.

    Raises:
        BadInput: a setting is missing, given twice, or not above 0.
    """
    given = layer.convolution_param
    return Windows(
        kernel=_positive(layer, "kernel", _pair(layer, given, "kernel", "kernel_size")),
        stride=_positive(layer, "stride", _pair(layer, given, "stride", "stride", 1)),
        pad=_pair(layer, given, "pad", "pad", 0, alone=True),
        dilation=_positive(layer, "dilation", _pair(layer, given, "dilation", "dilation", 1)),
    )


def pooling_windows(layer: pb.LayerParameter, sides: Pair) -> Windows:
    """The windows of a Pooling over images of (height, width).

    Raises:
        BadInput: as above, or a pad is as large as its kernel.
    """
    given = layer.pooling_param
    stride = _positive(layer, "stride", _pair(layer, given, "stride", "stride", 1))
    pad = _pair(layer, given, "pad", "pad", 0)
    if not given.global_pooling:
        kernel = _positive(layer, "kernel", _pair(layer, given, "kernel", "kernel_size"))
    else:
        if any(given.HasField(name) for name in ("kernel_size", "kernel_h", "kernel_w")):
            raise refuse(layer, "is global, so that its kernel is the image; give no kernel")
        if pad != (0, 0) or stride != (1, 1):
            raise refuse(layer, "is global, so that it takes no pad and no stride")
        kernel = sides
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise refuse(layer, "has a pad that is not smaller than its kernel")
    return Windows(kernel, stride, pad)


@rule("Convolution", bottoms=(1, None), tops=(1, None))
def _convolution(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """conv_layer.cpp: weights (num_output, channels / group, *kernel)."""
    given, windows = layer.convolution_param, convolution_windows(layer)
    batch, channels, sides = _checked_bottoms(layer, bottoms)
    found = tuple(
        (side + 2 * pad - extent) // stride + 1
        for side, pad, extent, stride in zip(
            sides, windows.pad, windows.extent, windows.stride, strict=True
        )
    )
    _check_room(layer, found, sides)
    weight = (given.num_output, channels // given.group, *windows.kernel)
    return _filtered(layer, (batch, given.num_output, *found), weight)


@rule("Deconvolution", bottoms=(1, None), tops=(1, None))
def _deconvolution(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """deconv_layer.cpp: weights (channels, num_output / group, *kernel)."""
    given, windows = layer.convolution_param, convolution_windows(layer)
    batch, channels, sides = _checked_bottoms(layer, bottoms)
    found = tuple(
        stride * (side - 1) + extent - 2 * pad
        for side, pad, extent, stride in zip(
            sides, windows.pad, windows.extent, windows.stride, strict=True
        )
    )
    _check_room(layer, found, sides)
    weight = (channels, given.num_output // given.group, *windows.kernel)
    return _filtered(layer, (batch, given.num_output, *found), weight)


def _checked_bottoms(
    layer: pb.LayerParameter, bottoms: Sequence[Shape]
) -> tuple[int, int, Pair]:  # fmt: skip
    """Batch, channels and (height, width) of a convolution's bottoms."""
    given = layer.convolution_param
    batch, channels, height, width = image(layer, bottoms[0])
    if len(bottoms) != len(layer.top):
        raise refuse(layer, "needs a top for each bottom")
    if any(shape != bottoms[0] for shape in bottoms):
        raise refuse(layer, "needs bottoms of one shape")
    if canonical_axis(layer, given.axis, bottoms[0]) != 1:
        raise refuse(layer, f"has axis {given.axis}; only axis 1, the channels, is supported")
    if not given.num_output:
        raise refuse(layer, "has no num_output")
    if not given.group or channels % given.group or given.num_output % given.group:
        raise refuse(
            layer,
            f"has {given.group} groups, which do not divide its {channels} input channels "
            f"and its {given.num_output} outputs evenly",
        )
    return batch, channels, (height, width)


def _filtered(layer: pb.LayerParameter, top: Shape, weight: Shape) -> Shapes:
    given = layer.convolution_param
    bias = ((given.num_output,),) if given.bias_term else ()
    return Shapes((top,) * len(layer.top), (weight, *bias))


def _check_room(layer: pb.LayerParameter, found: Shape, sides: Pair) -> None:
    if min(found) < 1:
        raise refuse(
            layer,
            f"has a window larger than its input of {sides[0]} x {sides[1]}; use larger images",
        )


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
    settings: Any,
    stem: str,
    both: str,
    default: int | None = None,
    *,
    alone: bool = False,
) -> Pair:
    """(height, width) of a setting given as STEM_h and STEM_w, or as one or two numbers.

    Args:
        settings: a ConvolutionParameter or a PoolingParameter.
        both: the field that holds the numbers for both directions.
        default: both numbers where none are given; None: they are required.
        alone: whether one of STEM_h and STEM_w suffices, the other being 0.

    Raises:
        BadInput: the setting is missing, given twice, or has too many numbers.
    """
    fields = [f"{stem}_h", f"{stem}_w"] if f"{stem}_h" in settings.DESCRIPTOR.fields_by_name else []
    values = _numbers(settings, both)
    if any(settings.HasField(field) for field in fields):
        if values or not (alone or all(settings.HasField(field) for field in fields)):
            raise refuse(layer, f"needs either {both}, or both of {fields[0]} and {fields[1]}")
        values = [getattr(settings, field) for field in fields]
    if len(values) > 2:
        raise refuse(layer, f"has {len(values)} numbers for {both}; give one, or height and width")
    if values:
        return values[0], values[-1]
    if default is None:
        raise refuse(layer, f"has no {both}")
    return default, default


def _numbers(settings: Any, field: str) -> list[int]:
    """The numbers of a field, single or repeated."""
    value = getattr(settings, field)
    if not isinstance(value, int):
        return list(value)
    return [value] if settings.HasField(field) else []


def _positive(layer: pb.LayerParameter, what: str, values: Pair) -> Pair:
    if min(values) < 1:
        raise refuse(layer, f"has {what} {values[0]} x {values[1]}; both must be above 0")
    return values
