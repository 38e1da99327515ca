"""Losses that compare values: Euclidean, hinge, contrastive, of sigmoids."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer, Shape
from caffe_transfer.caffe_torch.layers.labels import (
    Labels,
    ignored,
    normalization,
    normalizer,
    read_labels,
)
from caffe_transfer.formats.proto import caffe_pb2 as pb


class Loss(Layer):
    """A loss of two bottoms with as many rows: its top is one number (loss_layer.cpp)."""

    bottom_count = (2, 2)
    is_loss = True

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        if not all(bottoms) or bottoms[0][0] != bottoms[1][0]:
            raise self.refuse(
                f"needs as many labels as values, not the shapes {bottoms[0]} and {bottoms[1]}"
            )
        return [()]

    def need_as_many(self, bottoms: Sequence[Shape]) -> None:
        """Refuse bottoms that differ in their number of values."""
        if math.prod(bottoms[0]) != math.prod(bottoms[1]):
            raise self.refuse(
                f"needs two bottoms of one size, not the shapes {bottoms[0]} and {bottoms[1]}"
            )


class EuclideanLoss(Loss):
    """euclidean_loss_layer.cpp: the sum of (a - b)^2 over twice the batch."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        self.need_as_many(bottoms)
        return super().set_up(bottoms)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        first, second = (bottom.float() for bottom in bottoms)
        difference = first - second.reshape(first.shape)
        return [difference.square().sum() / (2 * len(first))]


class HingeLoss(Loss):
    """hinge_loss_layer.cpp: the sum of max(0, 1 - x) for the label, max(0, 1 + x) for others.

    Over the batch; with norm L2 each is squared.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        tops = super().set_up(bottoms)
        need_one_label(self, bottoms[0], bottoms[1])
        return tops

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        scores = bottoms[0].float().flatten(1)
        index = read_labels(self, bottoms[1].reshape(-1, 1), scores.shape[1], None).index
        sign = torch.ones_like(scores).scatter_(1, index, -1.0)
        gaps = torch.relu(1 + sign * scores)
        if self.param.hinge_loss_param.norm == pb.HingeLossParameter.L2:
            gaps = gaps.square()
        return [gaps.sum() / len(scores)]


class SigmoidCrossEntropyLoss(Loss):
    """sigmoid_cross_entropy_loss_layer.cpp: -t log(p) - (1 - t) log(1 - p), with p = sigmoid(x).

    Divided by the batch unless `normalization` says other.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        self.need_as_many(bottoms)
        given = self.param.loss_param
        self._mode = normalization(given, default=pb.LossParameter.BATCH_SIZE)
        return super().set_up(bottoms)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        x = bottoms[0].float()
        targets = bottoms[1].detach().float().reshape(x.shape)
        index, ignore = targets.long(), ignored(self.param.loss_param)
        labels = Labels(index, None if ignore is None else index != ignore)
        losses = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
        divisor = normalizer(self._mode, labels, len(x))
        return [labels.zero_ignored(losses).sum() / divisor]


class ContrastiveLoss(Loss):
    """contrastive_loss_layer.cpp: of pairs (a, b) at the distance d, labelled alike or not.

    d^2 where alike, else max(margin - d, 0)^2, or max(margin - d^2, 0) in the legacy version;
    summed over twice the batch.
    """

    bottom_count = (3, 3)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        tops = super().set_up(bottoms)
        for shape in bottoms[:2]:
            if math.prod(shape[2:]) != 1 or shape[1:2] != bottoms[0][1:2]:
                raise self.refuse(f"needs two bottoms (batch, features), not the shape {shape}")
        need_one_label(self, bottoms[0], bottoms[2])
        return tops

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        first, second = (bottom.float().flatten(1) for bottom in bottoms[:2])
        alike = bottoms[2].detach().reshape(-1, 1).long() != 0
        given = self.param.contrastive_loss_param
        settings = (alike, given.margin, given.legacy_version)
        return [_Contrastive.apply(first - second, *settings)]  # type: ignore[no-untyped-call]


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]


class _Contrastive(torch.autograd.Function):
    """Differences (batch, features) -> the loss.

    Caffe adds 1e-4 to the distance that it divides by in the gradient.
    """

    @staticmethod
    def forward(
        ctx: _Context, difference: Tensor, alike: Tensor, margin: float, legacy: bool
    ) -> Tensor:
        squares = difference.square().sum(1, keepdim=True)
        distance = squares.sqrt()
        gap = (margin - (squares if legacy else distance)).clamp_(min=0)
        losses = torch.where(alike, squares, gap if legacy else gap.square())
        pull = (gap > 0).float() if legacy else gap / (distance + 1e-4)
        ctx.save_for_backward(difference, torch.where(alike, 1.0, -pull))
        return losses.sum() / (2 * len(difference))

    @staticmethod
    def backward(ctx: _Context, diff: Tensor) -> tuple[Tensor | None, ...]:
        difference, pull = ctx.saved_tensors
        return difference * pull * (diff / len(difference)), None, None, None


def need_one_label(layer: Layer, values: Shape, labels: Shape) -> None:
    """Refuse labels that are not one for each row of the values."""
    if not values or math.prod(labels) != values[0]:
        raise layer.refuse(
            f"needs one label for each row of its bottom {values}, not the shape {labels}"
        )
