"""The order in which layers run: the net's, except where another gives the same for less work."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb


@dataclass
class Step:
    """A layer in its place: the blobs that it reads and makes, and the weights of its losses."""

    layer: Layer
    bottoms: list[str]
    tops: list[str]
    loss_weights: list[float]
    specs: list[pb.ParamSpec] = field(default_factory=list)


def execution_order(steps: Sequence[Step]) -> list[Step]:
    """The steps with each ReLU after the maximum pooling that alone reads its top.

    Both commute, gradients included: a ReLU keeps the order of values, and where it makes several
    of them equal, at 0, it lets no gradient through.  After the pooling there are fewer values.
    """
    order = list(steps)
    for step in steps:
        if not _is_relu_in_place(step):
            continue
        at = order.index(step)
        readers = [later for later in order[at + 1 :] if step.tops[0] in later.bottoms]
        if len(readers) == 1 and _is_maximum(readers[0]):
            order.pop(at)
            step.layer.in_place = True  # the gradient of pooling needs no maxima, only their places
            blob = list(readers[0].tops)
            order.insert(order.index(readers[0]) + 1, replace(step, bottoms=blob, tops=blob))
    return order


def _is_relu_in_place(step: Step) -> bool:
    return (
        step.layer.param.type == "ReLU"
        and step.bottoms == step.tops
        and step.layer.param.relu_param.negative_slope >= 0
        and not any(step.loss_weights)
    )


def _is_maximum(step: Step) -> bool:
    return (
        step.layer.param.type == "Pooling"
        and step.layer.param.pooling_param.pool == pb.PoolingParameter.MAX
        and len(step.tops) == 1
        and not any(step.loss_weights)
    )
