"""The shapes that follow through a net, computed without Caffe.

Blob shapes are (channels, height, width) or (features,): the batch is left out.  Parameter
shapes are Caffe's: convolution (num_output, channels / group, height, width), inner product
(num_output, features), bias (num_output,).
"""

import math
from typing import Any

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

Shape = tuple[int, ...]
SAME_SHAPE = {
    "ReLU", "LRN", "Dropout", "Softmax", "Sigmoid", "TanH", "ELU", "PReLU", "BNLL", "AbsVal",
    "Power", "Exp", "Log", "BatchNorm", "Scale", "Bias", "MVN", "Threshold", "Split",
}  # fmt: skip
NO_OUTPUT = {"Accuracy", "SoftmaxWithLoss", "Silence"}


def parameter_shapes(
    net: pb.NetParameter, data_shape: Shape, phase: int = pb.TRAIN
) -> dict[str, tuple[Shape, ...]]:
    """The shapes of each learned layer's parameters, in the net's order.

    Args:
        net: a net in format V2.
        data_shape: (channels, height, width) of the blob `data`.
        phase: caffe_pb2.TRAIN or TEST.

    Raises:
        BadInput: a layer's bottom is missing, or its window does not fit; names the layer.
    """
    blobs: dict[str, Shape] = {}
    parameters: dict[str, tuple[Shape, ...]] = {}
    for layer in net.layer:
        if not in_phase(layer, phase):
            continue
        if not layer.bottom:
            blobs.update({top: data_shape if top != "label" else () for top in layer.top})
            continue
        for bottom in layer.bottom:
            if bottom not in blobs:
                raise BadInput(
                    f"layer {layer.name!r} reads blob {bottom!r}, which no layer before it makes"
                )
        shape = blobs[layer.bottom[0]]
        top, weights = _layer_shapes(layer, shape)
        blobs.update(dict.fromkeys(layer.top, top))
        if weights:
            parameters[layer.name] = weights
    return parameters


def in_phase(layer: pb.LayerParameter, phase: int) -> bool:
    """Whether a layer stands in the net of a phase (phase rules of include and exclude only)."""
    if any(rule.HasField("phase") and rule.phase == phase for rule in layer.exclude):
        return False
    rules = [rule for rule in layer.include if rule.HasField("phase")]
    return not rules or any(rule.phase == phase for rule in rules)


def _layer_shapes(layer: pb.LayerParameter, shape: Shape) -> tuple[Shape, tuple[Shape, ...]]:
    match layer.type:
        case "Convolution":
            return _convolution(layer, shape)
        case "Pooling":
            return _pooling(layer, shape), ()
        case "InnerProduct":
            number = layer.inner_product_param.num_output
            weight: Shape = (number, math.prod(shape))
            bias: tuple[Shape, ...] = ((number,),) if layer.inner_product_param.bias_term else ()
            return (number,), (weight, *bias)
        case kind if kind in SAME_SHAPE:
            return shape, ()
        case kind if kind in NO_OUTPUT:
            return (), ()
    raise BadInput(f"layer {layer.name!r} has type {layer.type!r}, whose shape is not known here")


def _convolution(layer: pb.LayerParameter, shape: Shape) -> tuple[Shape, tuple[Shape, ...]]:
    param = layer.convolution_param
    channels, *sides = _image(layer, shape)
    if channels % param.group or param.num_output % param.group:
        raise BadInput(
            f"layer {layer.name!r} has {param.group} groups, which divide neither its "
            f"{channels} input channels nor its {param.num_output} outputs evenly"
        )
    kernels = _pair(param, "kernel", "kernel_size")
    windows = zip(
        sides, kernels, _pair(param, "pad", "pad", 0), _pair(param, "stride", "stride", 1),
        strict=True,
    )  # fmt: skip
    dilation = param.dilation[0] if param.dilation else 1
    out = [
        (side + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1
        for side, kernel, pad, stride in windows
    ]
    _positive(layer, out)
    weight: Shape = (param.num_output, channels // param.group, *kernels)
    bias: tuple[Shape, ...] = ((param.num_output,),) if param.bias_term else ()
    return (param.num_output, *out), (weight, *bias)


def _pooling(layer: pb.LayerParameter, shape: Shape) -> Shape:
    """Caffe rounds up, then drops a last window that would start in the padding."""
    param = layer.pooling_param
    channels, *sides = _image(layer, shape)
    if param.global_pooling:
        return (channels, 1, 1)
    out = []
    for side, kernel, pad, stride in zip(
        sides, _pair(param, "kernel", "kernel_size"), _pair(param, "pad", "pad", 0),
        _pair(param, "stride", "stride", 1), strict=True,
    ):  # fmt: skip
        size = -(-(side + 2 * pad - kernel) // stride) + 1
        if pad and (size - 1) * stride >= side + pad:
            size -= 1
        out.append(size)
    _positive(layer, out)
    return (channels, *out)


def _pair(param: Any, stem: str, both: str, default: int | None = None) -> tuple[int, int]:
    """(height, width) of a setting given as STEM_h and STEM_w, or as one or two numbers."""
    if param.HasField(f"{stem}_h") or param.HasField(f"{stem}_w"):
        return getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w")
    value = getattr(param, both)
    values = [value] if isinstance(value, int) else list(value)
    if not values:
        values = [default or 0]
    return values[0], values[-1]


def _image(layer: pb.LayerParameter, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise BadInput(f"layer {layer.name!r} needs an image, but its input has shape {shape}")
    return shape


def _positive(layer: pb.LayerParameter, sides: list[int]) -> None:
    if min(sides) < 1:
        raise BadInput(
            f"layer {layer.name!r} has a window larger than its input; use larger images "
            "or a net for smaller ones"
        )
