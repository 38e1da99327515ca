"""Layers with parameters, but for convolutions and recurrent layers."""

import math
from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, canonical_axis, refuse, rule


@rule("InnerProduct")
def _inner_product(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """inner_product_layer.cpp: weights (num_output, features), or the reverse if transposed."""
    given, shape = layer.inner_product_param, bottoms[0]
    axis = canonical_axis(layer, given.axis, shape)
    if not given.num_output:
        raise refuse(layer, "has no num_output")
    weight = (given.num_output, math.prod(shape[axis:]))
    bias = ((given.num_output,),) if given.bias_term else ()
    return Shapes(
        ((*shape[:axis], given.num_output),), (weight[::-1] if given.transpose else weight, *bias)
    )


@rule("Embed")
def _embed(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """embed_layer.cpp: a row of the weights (input_dim, num_output) for each index."""
    given = layer.embed_param
    if not given.num_output or not given.input_dim:
        raise refuse(layer, "needs num_output and input_dim above 0")
    bias = ((given.num_output,),) if given.bias_term else ()
    weight = (given.input_dim, given.num_output)
    return Shapes(((*bottoms[0], given.num_output),), (weight, *bias))


@rule("Parameter", bottoms=(0, 0))
def _parameter(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """parameter_layer.hpp: its top is its parameter."""
    shape = tuple(layer.parameter_param.shape.dim)
    if min(shape, default=1) < 0:
        raise refuse(layer, f"has the shape {shape}; its lengths must not be below 0")
    return Shapes((shape,), (shape,))


@rule("BatchNorm")
def _batch_norm(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """batch_norm_layer.cpp: sums of means and of variances, and their weight."""
    channels = (_channels(layer, bottoms[0]),)
    return Shapes((bottoms[0],), (channels, channels, (1,)))


@rule("PReLU")
def _prelu(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """prelu_layer.cpp: a slope for each channel, or one for all."""
    channels = _channels(layer, bottoms[0])
    return Shapes((bottoms[0],), (() if layer.prelu_param.channel_shared else (channels,),))


@rule("Scale", bottoms=(1, 2))
def _scale(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """scale_layer.cpp: a factor unless a second bottom is it, and with bias_term a summand."""
    _, shape = broadcast(layer, layer.scale_param, bottoms)
    number = (len(bottoms) == 1) + layer.scale_param.bias_term
    return Shapes((bottoms[0],), (shape,) * number)


@rule("Bias", bottoms=(1, 2))
def _bias(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """bias_layer.cpp: a summand unless a second bottom is it."""
    _, shape = broadcast(layer, layer.bias_param, bottoms)
    return Shapes((bottoms[0],), (shape,) * (len(bottoms) == 1))


def broadcast(
    layer: pb.LayerParameter, settings: pb.ScaleParameter | pb.BiasParameter,
    bottoms: Sequence[Shape],
) -> tuple[int, Shape]:  # fmt: skip
    """The first axis and the shape of the blob that Scale or Bias broadcasts over its bottom.

    Raises:
        BadInput: it does not fit the bottom.
    """
    shape = bottoms[0]
    second = bottoms[1] if len(bottoms) > 1 else None
    number = settings.num_axes if second is None else len(second)
    start = canonical_axis(layer, settings.axis, shape) if number else 0
    if number < -1 or start + number > len(shape):
        raise refuse(
            layer, f"has {number} axes from axis {start}, but its bottom has the shape {shape}"
        )
    found = shape[start:] if number == -1 else shape[start : start + number]
    if second is not None and second != found:
        raise refuse(
            layer,
            f"has bottoms of the shapes {shape} and {second}; the second must be {found}, as "
            f"the first is from axis {start}",
        )
    return start, found


def _channels(layer: pb.LayerParameter, shape: Shape) -> int:
    if len(shape) < 2:
        raise refuse(layer, f"needs channels, but its bottom has the shape {shape}")
    return shape[1]
