"""Labels of losses and scores: the class of each place, which places count, and how many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

Mode = pb.LossParameter.NormalizationMode


@dataclass(frozen=True)
class Labels:
    """Classes of places, all int64.

    Attributes:
        index: the class of each place, 0 where it does not count.
        counts: True where a label is not the ignored one; None: all of them.
    """

    index: Tensor
    counts: Tensor | None

    def zero_ignored(self, values: Tensor) -> Tensor:
        """Values of the places, 0 where they do not count."""
        return values if self.counts is None else values * self.counts

    def number(self) -> Tensor | int:
        """How many places count."""
        return self.index.numel() if self.counts is None else self.counts.sum()


def read_labels(layer: Layer, labels: Tensor, classes: int, ignore: int | None) -> Labels:
    """Labels cut to whole numbers, as Caffe does.

    On a GPU they are not checked, which would make it wait.

    Raises:
        BadInput: a label that counts is not among the classes.
    """
    index = labels.detach().long()
    counts = None
    if ignore is not None:
        counts = index != ignore
        index = index * counts
    if index.device.type == "cpu" and index.numel():
        least, most = (int(value) for value in torch.aminmax(index))
        if least < 0 or most >= classes:
            raise BadInput(
                f"layer {layer.param.name!r} ({layer.param.type}) got the label "
                f"{least if least < 0 else most}, but has {classes} classes, 0 to {classes - 1}"
            )
    return Labels(index, counts)


def class_view(layer: Layer, axis: int, bottoms: Sequence[Shape]) -> tuple[int, int, int]:
    """The scores' shape as (outer, classes, inner); a label stands for each outer and inner place.

    Raises:
        BadInput: the labels are not as many.
    """
    scores, labels = bottoms[0], bottoms[1]
    outer, inner = math.prod(scores[:axis]), math.prod(scores[axis + 1 :])
    if outer * inner != math.prod(labels):
        raise layer.refuse(
            f"has scores of the shape {scores} with the classes on axis {axis}, which need "
            f"{outer * inner} labels, but labels of the shape {labels}"
        )
    return outer, scores[axis], inner


def ignored(given: pb.LossParameter) -> int | None:
    """The label that does not count."""
    return given.ignore_label if given.HasField("ignore_label") else None


def normalization(given: pb.LossParameter, default: Mode) -> Mode:
    """What a loss is divided by, also where the old setting `normalize` says it."""
    if given.HasField("normalization"):
        return given.normalization
    if given.HasField("normalize"):
        return pb.LossParameter.VALID if given.normalize else pb.LossParameter.BATCH_SIZE
    return default


def normalizer(mode: Mode, labels: Labels, outer: int) -> Tensor | float:
    """The number that a loss is divided by, at least 1."""
    if mode == pb.LossParameter.NONE:
        return 1.0
    if mode == pb.LossParameter.BATCH_SIZE:
        return max(1.0, float(outer))
    number = labels.number() if mode == pb.LossParameter.VALID else labels.index.numel()
    return number.clamp(min=1) if isinstance(number, Tensor) else max(1.0, float(number))
