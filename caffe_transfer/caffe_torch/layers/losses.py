"""Euclidean, hinge, contrastive and sigmoid cross-entropy losses."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.labels import (
    Labels,
    ignored,
    normalization,
    normalizer,
    read_labels,
)
from caffe_transfer.caffe_torch.layers.parts import as_matrix
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape


class EuclideanLoss(Layer):
    """euclidean_loss_layer.cpp: the sum of (a - b)^2, divided by twice the batch."""

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        first, second = (bottom.float() for bottom in bottoms)
        difference = first - second.reshape(first.shape)
        return [difference.square().sum() / (2 * len(first))]


class HingeLoss(Layer):
    """hinge_loss_layer.cpp: max(0, 1 - x) for the label, max(0, 1 + x) for other classes.

    Summed and divided by the batch; with norm L2 each term is squared.
    """

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        scores = as_matrix(bottoms[0].float())
        index = read_labels(self, bottoms[1].reshape(-1, 1), scores.shape[1], None).index
        sign = torch.ones_like(scores).scatter_(1, index, -1.0)
        gaps = torch.relu(1 + sign * scores)
        if self.param.hinge_loss_param.norm == pb.HingeLossParameter.L2:
            gaps = gaps.square()
        return [gaps.sum() / len(scores)]


class SigmoidCrossEntropyLoss(Layer):
    """sigmoid_cross_entropy_loss_layer.cpp: -t log(p) - (1 - t) log(1 - p), with p = sigmoid(x).

    Divided by the batch by default.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._mode = normalization(self.param.loss_param, default=pb.LossParameter.BATCH_SIZE)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        x = bottoms[0].float()
        targets = bottoms[1].detach().float().reshape(x.shape)
        index, ignore = targets.long(), ignored(self.param.loss_param)
        labels = Labels(index, None if ignore is None else index != ignore)
        losses = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
        divisor = normalizer(self._mode, labels, len(x))
        return [labels.zero_ignored(losses).sum() / divisor]


class ContrastiveLoss(Layer):
    """contrastive_loss_layer.cpp: of pairs (a, b) at the distance d, labelled similar or not.

    d^2 where similar, else max(margin - d, 0)^2, or max(margin - d^2, 0) in the legacy version;
    the sum is divided by twice the batch.
    """

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        first, second = (as_matrix(bottom.float()) for bottom in bottoms[:2])
        similar = bottoms[2].detach().reshape(-1, 1).long() != 0
        given = self.param.contrastive_loss_param
        settings = (similar, given.margin, given.legacy_version)
        return [_Contrastive.apply(first - second, *settings)]  # type: ignore[no-untyped-call]


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]


class _Contrastive(torch.autograd.Function):
    """Differences (batch, features) -> the loss.

    In the gradient Caffe divides by the distance plus 1e-4.
    """

    @staticmethod
    def forward(
        ctx: _Context, difference: Tensor, similar: Tensor, margin: float, legacy: bool
    ) -> Tensor:
        squares = difference.square().sum(1, keepdim=True)
        distance = squares.sqrt()
        gap = (margin - (squares if legacy else distance)).clamp_(min=0)
        losses = torch.where(similar, squares, gap if legacy else gap.square())
        pull = (gap > 0).float() if legacy else gap / (distance + 1e-4)
        ctx.save_for_backward(difference, torch.where(similar, 1.0, -pull))
        return losses.sum() / (2 * len(difference))

    @staticmethod
    def backward(ctx: _Context, diff: Tensor) -> tuple[Tensor | None, ...]:
        difference, pull = ctx.saved_tensors
        return difference * pull * (diff / len(difference)), None, None, None
