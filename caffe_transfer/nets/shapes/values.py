"""Layers without parameters that compute values: one by one, normalized, or over several blobs."""

from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, canonical_axis, refuse, rule


@rule(
    "AbsVal", "BNLL", "Clip", "Dropout", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid", "Swish",
    "TanH", "Threshold",
)  # fmt: skip
def _neuron(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """neuron_layer.cpp: the top has the shape of the bottom."""
    return Shapes((bottoms[0],))


@rule("Softmax")
def _softmax(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """softmax_layer.cpp."""
    canonical_axis(layer, layer.softmax_param.axis, bottoms[0])
    return Shapes((bottoms[0],))


@rule("MVN")
def _mvn(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """mvn_layer.cpp: the top always has four axes, as blobs had when the layer was written."""
    shape = bottoms[0]
    if len(shape) > 4:
        raise refuse(layer, f"takes up to 4 axes, but its bottom has the shape {shape}")
    return Shapes(((*shape, *(1,) * (4 - len(shape))),))


@rule("Eltwise", bottoms=(2, None))
def _eltwise(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """eltwise_layer.cpp."""
    given = layer.eltwise_param
    if len(given.coeff) not in (0, len(bottoms)):
        raise refuse(layer, f"has {len(given.coeff)} coefficients for {len(bottoms)} bottoms")
    if given.operation == pb.EltwiseParameter.PROD and given.coeff:
        raise refuse(layer, "takes no coefficients for a product")
    if len(set(bottoms)) > 1:
        raise refuse(layer, f"needs bottoms of one shape, not {', '.join(map(str, bottoms))}")
    return Shapes((bottoms[0],))


@rule("Reduction")
def _reduction(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """reduction_layer.cpp: the axes from `axis` on become one value."""
    return Shapes((bottoms[0][: canonical_axis(layer, layer.reduction_param.axis, bottoms[0])],))
