"""Layers that slide filters over any number of spatial axes: Convolution, Deconvolution, Im2col."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, canonical_axis, refuse, rule


@dataclass(frozen=True)
class Filters:
    """The filters of a layer: one number for each spatial axis, which are those behind `axis`.

    Attributes:
        axis: of the channels, from 0; the axes before it are batches.
    """

    axis: int
    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape

    @property
    def extent(self) -> Shape:
        """What a filter spans along each axis, gaps of dilation included."""
        return tuple(
            gap * (side - 1) + 1 for gap, side in zip(self.dilation, self.kernel, strict=True)
        )

    def windows(self, sides: Shape) -> Shape:
        """The number of places of the filter along each axis of an input."""
        return tuple(
            (side + 2 * pad - extent) // stride + 1
            for side, pad, extent, stride in zip(
                sides, self.pad, self.extent, self.stride, strict=True
            )
        )

    def spread(self, sides: Shape) -> Shape:
        """The sides of what a Deconvolution makes of an input: `windows`, the other way round."""
        return tuple(
            stride * (side - 1) + extent - 2 * pad
            for side, pad, extent, stride in zip(
                sides, self.pad, self.extent, self.stride, strict=True
            )
        )


def filters(layer: pb.LayerParameter, shape: Shape) -> Filters:
    """The filters of a Convolution, Deconvolution or Im2col over a bottom of this shape.

    Raises:
        BadInput: a setting is missing, given twice, not above 0, or not one for each axis.
    """
    axis = canonical_axis(layer, layer.convolution_param.axis, shape)
    axes = len(shape) - axis - 1
    return Filters(
        axis=axis,
        kernel=_positive(layer, "kernel_size", _by_axis(layer, "kernel", "kernel_size", axes)),
        stride=_positive(layer, "stride", _by_axis(layer, "stride", "stride", axes, 1)),
        pad=_by_axis(layer, "pad", "pad", axes, 0),
        dilation=_positive(layer, "dilation", _by_axis(layer, "dilation", "dilation", axes, 1)),
    )


@rule("Convolution", bottoms=(1, None), tops=(1, None))
def _convolution(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """conv_layer.cpp: weights (num_output, channels / group, *kernel)."""
    found, channels = _checked(layer, bottoms)
    given = layer.convolution_param
    weight = (given.num_output, channels // given.group, *found.kernel)
    return _filtered(layer, bottoms[0], found, found.windows(bottoms[0][found.axis + 1 :]), weight)


@rule("Deconvolution", bottoms=(1, None), tops=(1, None))
def _deconvolution(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """deconv_layer.cpp: weights (channels, num_output / group, *kernel)."""
    found, channels = _checked(layer, bottoms)
    given = layer.convolution_param
    weight = (channels, given.num_output // given.group, *found.kernel)
    return _filtered(layer, bottoms[0], found, found.spread(bottoms[0][found.axis + 1 :]), weight)


@rule("Im2col")
def _im2col(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """im2col_layer.cpp: each window as channels."""
    shape = bottoms[0]
    found = filters(layer, shape)
    sides = shape[found.axis + 1 :]
    if not sides:
        raise refuse(layer, f"has no axis behind axis {found.axis} of its bottom {shape}")
    windows = found.windows(sides)
    _check_room(layer, windows, sides)
    channels = shape[found.axis] * math.prod(found.kernel)
    return Shapes(((*shape[: found.axis], channels, *windows),))


def _checked(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> tuple[Filters, int]:
    """The filters of a convolution, and the channels of its bottoms."""
    given, shape = layer.convolution_param, bottoms[0]
    found = filters(layer, shape)
    channels = shape[found.axis]
    if len(bottoms) != len(layer.top):
        raise refuse(layer, "needs a top for each bottom")
    if any(other != shape for other in bottoms):
        raise refuse(layer, "needs bottoms of one shape")
    if not given.num_output:
        raise refuse(layer, "has no num_output")
    if not given.group or channels % given.group or given.num_output % given.group:
        raise refuse(
            layer,
            f"has {given.group} groups, which do not divide its {channels} input channels "
            f"and its {given.num_output} outputs evenly",
        )
    return found, channels


def _filtered(
    layer: pb.LayerParameter, bottom: Shape, found: Filters, sides: Shape, weight: Shape
) -> Shapes:
    given = layer.convolution_param
    _check_room(layer, sides, bottom[found.axis + 1 :])
    top = (*bottom[: found.axis], given.num_output, *sides)
    bias = ((given.num_output,),) if given.bias_term else ()
    return Shapes((top,) * len(layer.top), (weight, *bias))


def _check_room(layer: pb.LayerParameter, found: Shape, sides: Shape) -> None:
    if min(found, default=1) < 1:
        raise refuse(
            layer,
            f"has a window larger than its input of {_times(sides)}; use larger images",
        )


def _by_axis(
    layer: pb.LayerParameter, stem: str, both: str, axes: int, default: int | None = None
) -> Shape:
    """A setting for each spatial axis, given as one number, one for each, or STEM_h and STEM_w.

    Args:
        both: the field that holds the numbers for all axes.
        default: all numbers where none are given; None: they are required.

    Raises:
        BadInput: the setting is missing, given twice, or has another number of numbers.
    """
    given = layer.convolution_param
    values: list[int] = list(getattr(given, both))
    sides = [f"{stem}_h", f"{stem}_w"] if stem != "dilation" else []
    if any(given.HasField(side) for side in sides):
        # A single pad will do: the other one is 0.
        alone = stem == "pad" or all(given.HasField(side) for side in sides)
        if values or not alone:
            raise refuse(layer, f"needs either {both}, or both of {sides[0]} and {sides[1]}")
        if axes != 2:
            raise refuse(layer, f"has {sides[0]} and {sides[1]}, but {axes} spatial axes")
        values = [getattr(given, side) for side in sides]
    if not values and default is not None:
        values = [default]
    if not values and axes:
        raise refuse(layer, f"has no {both}")
    if len(values) not in (0, 1, axes):
        raise refuse(
            layer,
            f"has {len(values)} numbers for {both} and {axes} spatial axes; give one, or one for "
            "each axis",
        )
    return tuple(values * axes if len(values) == 1 else values)


def _positive(layer: pb.LayerParameter, what: str, values: Shape) -> Shape:
    if min(values, default=1) < 1:
        raise refuse(layer, f"has {what} {_times(values)}; each must be above 0")
    return values


def _times(values: Shape) -> str:
    return " x ".join(map(str, values))
