"""InfogainLoss and MultinomialLogisticLoss: logarithms of probabilities, cut at 1e-20."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis
from caffe_transfer.caffe_torch.layers.labels import (
    class_view,
    ignored,
    normalization,
    normalizer,
    read_labels,
)
from caffe_transfer.caffe_torch.layers.losses import Loss, need_one_label
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.binaryproto import read_blob

_SMALLEST = 1e-20


class InfogainLoss(Layer):
    """infogain_loss_layer.cpp: -sum of H[label, l] log(p_l), with p the softmax of the scores.

    H is a third bottom or a BlobProto in a file; a second top has the probabilities.
    """

    bottom_count = (2, 3)
    top_count = (1, 2)
    is_loss = True

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        axis = canonical_axis(self, self.param.infogain_loss_param.axis, bottoms[0])
        self._view = class_view(self, axis, bottoms)
        if self.param.loss_param.HasField("normalize"):
            raise self.refuse("has the old setting normalize; use normalization")
        given = self.param.loss_param
        self._mode = normalization(given, default=given.normalization)
        classes = self._view[1]
        self._matrix = None if len(bottoms) > 2 else self._read(classes).to(self.device)
        if len(bottoms) > 2 and int(np.prod(bottoms[2])) != classes**2:
            raise self.refuse(f"needs a matrix of {classes} x {classes}, not {bottoms[2]}")
        return [(), bottoms[0]][: max(1, len(self.param.top))]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        outer, classes, inner = self._view
        matrix = bottoms[2].detach().float() if self._matrix is None else self._matrix
        given = ignored(self.param.loss_param)
        labels = read_labels(self, bottoms[1].reshape(outer, inner), classes, given)
        rows = matrix.reshape(classes, classes)[labels.index].movedim(-1, 1)
        if labels.counts is not None:
            rows = rows * labels.counts[:, None]
        scores = bottoms[0].float().reshape(self._view)
        divisor = normalizer(self._mode, labels, outer)
        loss, chances = _Infogain.apply(scores, rows, divisor)  # type: ignore[no-untyped-call]
        return [loss, chances.view(bottoms[0].shape)][: max(1, len(self.param.top))]

    def _read(self, classes: int) -> Tensor:
        source = self.param.infogain_loss_param.source
        if not source:
            raise self.refuse("needs a matrix: a third bottom, or infogain_loss_param's source")
        try:
            values = read_blob(Path(source)).values
        except CaffeTransferError as error:
            raise self.refuse(f"cannot read its matrix {source}: {error}") from error
        if len(values) != classes**2:
            raise self.refuse(
                f"needs a matrix of {classes} x {classes}, but {source} has {len(values)} values"
            )
        return torch.from_numpy(values)


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]
    normalizer: Tensor | float


class _Infogain(torch.autograd.Function):
    """Scores and rows of the matrix (outer, classes, inner) -> the loss and the probabilities."""

    @staticmethod
    def forward(
        ctx: _Context, scores: Tensor, rows: Tensor, normalizer: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        chances = torch.softmax(scores, 1)
        ctx.save_for_backward(chances, rows)
        ctx.mark_non_differentiable(chances)
        ctx.normalizer = normalizer
        loss = -(rows * chances.clamp(min=_SMALLEST).log()).sum()
        return loss / normalizer, chances

    @staticmethod
    def backward(ctx: _Context, diff: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        chances, rows = ctx.saved_tensors
        result = chances * rows.sum(1, keepdim=True) - rows
        return result.mul_(diff / ctx.normalizer), None, None


class MultinomialLogisticLoss(Loss):
    """multinomial_logistic_loss_layer.cpp: -log of the label's probability, which is given.

    Below 1e-20 the gradient is that at 1e-20.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        tops = super().set_up(bottoms)
        need_one_label(self, bottoms[0], bottoms[1])
        return tops

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        chances = bottoms[0].float().flatten(1)
        labels = read_labels(self, bottoms[1].reshape(-1, 1), chances.shape[1], None)
        found = chances.gather(1, labels.index)
        return [_NegativeLog.apply(found).sum() / len(chances)]  # type: ignore[no-untyped-call]


class _NegativeLog(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, chances: Tensor) -> Tensor:
        cut = chances.clamp(min=_SMALLEST)
        ctx.save_for_backward(cut)
        return -cut.log()

    @staticmethod
    def backward(ctx: _Context, diff: Tensor) -> Tensor:
        (cut,) = ctx.saved_tensors
        return -diff / cut
