"""Labels of losses and scores: which are ignored, and what losses are divided by."""

from dataclasses import dataclass

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

Mode = pb.LossParameter.NormalizationMode


@dataclass(frozen=True)
class Labels:
    """Classes of the places that scores are given for.

    Attributes:
        index: the class of each place, int64, 0 where it is ignored.
        counts: bool, False where the label is ignored; None: none is.
    """

    index: Tensor
    counts: Tensor | None

    def zero_ignored(self, values: Tensor) -> Tensor:
        """Values of the places, 0 where the label is ignored."""
        return values if self.counts is None else values * self.counts

    def number(self) -> Tensor | int:
        """The number of labels that are not ignored."""
        return self.index.numel() if self.counts is None else self.counts.sum()


def read_labels(layer: Layer, labels: Tensor, classes: int, ignore: int | None) -> Labels:
    """Labels truncated to integers, as Caffe does.

    On a GPU they are not checked, as that would synchronize with it.

    Raises:
        BadInput: a label that is not ignored is none of the classes.
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


def ignored(given: pb.LossParameter) -> int | None:
    """The label to ignore, if any."""
    return given.ignore_label if given.HasField("ignore_label") else None


def normalization(given: pb.LossParameter, default: Mode) -> Mode:
    """What a loss is divided by; honours the deprecated setting `normalize`."""
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
