"""What a net's layers cost: parameters and multiply-adds for one image."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape, blob_shapes, parameter_shapes

GRAY_CHANNELS, COLOUR_CHANNELS = 1, 3


@dataclass(frozen=True)
class Cost:
    """Of some layers of a net, for one image.

    Attributes:
        parameters: numbers in their parameter blobs.
        multiply_adds: of convolutions, inner products and recurrent layers, whose first axis is
            taken for images as well; other layers count for nothing.
    """

    parameters: int
    multiply_adds: int


def image_shape(net: pb.NetParameter) -> Shape | None:
    """(channels, height, width) of the images that a net sees, as far as it says; None if not.

    A deploy net declares it; a net that reads a database says its crop, and is taken to see
    colours unless it has one mean value or forces gray.
    """
    for layer in net.layer:
        for shape in layer.input_param.shape:
            if len(shape.dim) == 4:
                return tuple(shape.dim)[1:]
        transform = layer.transform_param
        if transform.crop_size:
            gray = transform.force_gray or len(transform.mean_value) == 1
            channels = GRAY_CHANNELS if gray else COLOUR_CHANNELS
            return (channels, transform.crop_size, transform.crop_size)
    return None


def layer_costs(net: pb.NetParameter, images: Shape | None) -> dict[str, Cost]:
    """The cost of each layer that has parameters, by name.

    Args:
        images: (channels, height, width); None where the net declares its inputs.

    Raises:
        BadInput: a layer does not fit its input; names it.
    """
    blobs = blob_shapes(net, images)
    shapes = parameter_shapes(net, images)
    layers = {layer.name: layer for layer in net.layer}
    return {
        name: Cost(sum(map(math.prod, parameters)), _multiply_adds(layers[name], parameters, blobs))
        for name, parameters in shapes.items()
    }


def total(costs: Mapping[str, Cost], names: Iterable[str]) -> Cost:
    """The cost of some layers together."""
    chosen = [costs[name] for name in names]
    return Cost(sum(each.parameters for each in chosen), sum(each.multiply_adds for each in chosen))


def _multiply_adds(
    layer: pb.LayerParameter, parameters: Sequence[Shape], blobs: Mapping[str, Shape]
) -> int:
    """Each weight is used once for each place that the window is put at, or each row of a blob."""
    weight = parameters[0]
    match layer.type:
        case "Convolution":
            return math.prod(weight) * _places(blobs[layer.top[0]], len(weight) - 2)
        case "Deconvolution":
            return math.prod(weight) * _places(blobs[layer.bottom[0]], len(weight) - 2)
        case "InnerProduct":
            return math.prod(weight) * math.prod(blobs[layer.top[0]][:-1])
        case "LSTM" | "RNN":
            weights = sum(math.prod(shape) for shape in parameters if len(shape) > 1)
            return weights * math.prod(blobs[layer.top[0]][:-1])
    return 0


def _places(blob: Shape, axes: int) -> int:
    """The places of a blob without its first axis, of which `axes` are behind the channels."""
    channels = len(blob) - axes - 1
    return math.prod(blob[: max(0, channels)]) * math.prod(blob[channels + 1 :])
