"""Softmax and SoftmaxWithLoss (softmax_layer.cpp, softmax_loss_layer.cpp)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.activations import Neuron
from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.labels import (
    Labels,
    ignored,
    normalization,
    normalizer,
    read_labels,
)
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.losses import class_view


class Softmax(Neuron):
    """softmax_layer.cpp: exp(x) over its sum along an axis."""

    def apply(self, x: Tensor) -> Tensor:
        return torch.softmax(x.float(), self.param.softmax_param.axis)


class SoftmaxWithLoss(Layer):
    """softmax_loss_layer.cpp: -log of the label's probability; a second top holds all of them.

    Probabilities are clamped to the smallest normal float32, which leaves the gradient alone.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._view = class_view(self.param, self.param.softmax_param.axis, bottoms)
        given = self.param.loss_param
        self._mode = normalization(given, default=given.normalization)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        scores = bottoms[0].float().reshape(self._view)
        outer, classes, inner = self._view
        labels = read_labels(
            self, bottoms[1].reshape(outer, 1, inner), classes, ignored(self.param.loss_param)
        )
        divisor = normalizer(self._mode, labels, outer)
        loss, probabilities = _SoftmaxLoss.apply(scores, labels, divisor)  # type: ignore[no-untyped-call]
        return [loss, probabilities.view(bottoms[0].shape)][: max(1, len(self.param.top))]


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]
    labels: Labels
    normalizer: Tensor | float


class _SoftmaxLoss(torch.autograd.Function):
    """Scores (outer, classes, inner) -> the loss and the probabilities."""

    @staticmethod
    def forward(
        ctx: _Context, scores: Tensor, labels: Labels, normalizer: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        probabilities = torch.softmax(scores, 1)
        index, outside = labels.index, None
        if scores.device.type != "cpu":  # labels are not checked there
            outside = (index < 0) | (index >= scores.shape[1])
            index = index.masked_fill(outside, 0)
        found = probabilities.gather(1, index).clamp_(min=torch.finfo(torch.float32).tiny)
        losses = labels.zero_ignored(found.log_().neg_())
        if outside is not None:
            losses = losses.masked_fill(outside, torch.nan)  # so that it shows in the loss
        ctx.save_for_backward(probabilities, index)
        ctx.mark_non_differentiable(probabilities)
        ctx.labels, ctx.normalizer = labels, normalizer
        return losses.sum() / normalizer, probabilities

    @staticmethod
    def backward(ctx: _Context, diff: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        probabilities, index = ctx.saved_tensors
        result = probabilities.scatter_add(
            1, index, probabilities.new_full((), -1.0).expand(index.shape)
        )
        return ctx.labels.zero_ignored(result).mul_(diff / ctx.normalizer), None, None
