"""Execution order of a net's layers: its own, except where another computes the same for less."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb


@dataclass
class Step:
    """A layer wired into its net: blobs read and written, loss weights, parameter settings.

    Attributes:
        backward: whether Caffe runs it backward; else its tops pass no gradient.
        passes: for each bottom, whether it passes a gradient down to it where it runs backward.
        stops: for each bottom, whether a gradient would go on below it and must not.
        outweighed: for each top, whether the gradient of a layer that reads it takes the place of
            that of its loss weight.
        specs: of its parameters, as the net gives them; a layer may add some to its own settings.
        shared: the indices of its parameters that a layer before it owns.
    """

    layer: Layer
    bottoms: list[str]
    tops: list[str]
    loss_weights: list[float]
    specs: list[pb.ParamSpec] = field(default_factory=list)
    backward: bool = True
    passes: list[bool] = field(default_factory=list)
    stops: list[bool] = field(default_factory=list)
    outweighed: list[bool] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)


def execution_order(steps: Sequence[Step]) -> list[Step]:
    """The steps with each ReLU moved behind the max pooling that is its top's only reader.

    The two commute to the bit, gradients included: a ReLU keeps the order of values, and those
    that it makes equal, at 0, get no gradient.  Behind the pooling there are fewer values.  A leaky
    ReLU stays: overlapping windows would sum their gradients before the slope, not after it.
    """
    order = list(steps)
    for step in steps:
        if not _is_in_place_relu(step):
            continue
        at = order.index(step)
        readers = [later for later in order[at + 1 :] if step.tops[0] in later.bottoms]
        if len(readers) == 1 and _is_max_pooling(readers[0]):
            order.pop(at)
            step.layer.in_place = True  # max pooling's gradient needs the indices, not the values
            blob = list(readers[0].tops)
            order.insert(order.index(readers[0]) + 1, replace(step, bottoms=blob, tops=blob))
    return order


def _is_in_place_relu(step: Step) -> bool:
    return (
        step.layer.param.type == "ReLU"
        and step.bottoms == step.tops
        and step.layer.param.relu_param.negative_slope == 0
        and not any(step.loss_weights)
    )


def _is_max_pooling(step: Step) -> bool:
    return (
        step.layer.param.type == "Pooling"
        and step.layer.param.pooling_param.pool == pb.PoolingParameter.MAX
        and len(step.tops) == 1
        and not any(step.loss_weights)
    )
