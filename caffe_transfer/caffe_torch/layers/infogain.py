"""InfogainLoss and MultinomialLogisticLoss: logarithms of probabilities, clamped at 1e-20."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.labels import (
    ignored,
    normalization,
    normalizer,
    read_labels,
)
from caffe_transfer.caffe_torch.layers.parts import as_matrix
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.losses import class_view

_SMALLEST = 1e-20


class InfogainLoss(Layer):
    """infogain_loss_layer.cpp: -sum of H[label, l] log(p_l), with p the softmax of the scores.

    H is a third bottom or a BlobProto in a file; a second top holds the probabilities.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._view = class_view(self.param, self.param.infogain_loss_param.axis, bottoms)
        given = self.param.loss_param
        if given.HasField("normalize"):
            raise self.refuse("has the old setting normalize; use normalization")
        self._mode = normalization(given, default=given.normalization)
        self._matrix = None if len(bottoms) > 2 else self._read(self._view[1]).to(self.device)

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
        loss, probabilities = _Infogain.apply(scores, rows, divisor)  # type: ignore[no-untyped-call]
        return [loss, probabilities.view(bottoms[0].shape)][: max(1, len(self.param.top))]

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
        probabilities = torch.softmax(scores, 1)
        ctx.save_for_backward(probabilities, rows)
        ctx.mark_non_differentiable(probabilities)
        ctx.normalizer = normalizer
        loss = -(rows * probabilities.clamp(min=_SMALLEST).log()).sum()
        return loss / normalizer, probabilities

    @staticmethod
    def backward(ctx: _Context, diff: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        probabilities, rows = ctx.saved_tensors
        result = probabilities * rows.sum(1, keepdim=True) - rows
        return result.mul_(diff / ctx.normalizer), None, None


class MultinomialLogisticLoss(Layer):
    """multinomial_logistic_loss_layer.cpp: -log of the label's probability, of bottom 0.

    Below 1e-20 the gradient is that at 1e-20.
    """

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        probabilities = as_matrix(bottoms[0].float())
        labels = read_labels(self, bottoms[1].reshape(-1, 1), probabilities.shape[1], None)
        found = probabilities.gather(1, labels.index)
        return [_NegativeLog.apply(found).sum() / len(probabilities)]  # type: ignore[no-untyped-call]


class _NegativeLog(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, probabilities: Tensor) -> Tensor:
        cut = probabilities.clamp(min=_SMALLEST)
        ctx.save_for_backward(cut)
        return -cut.log()

    @staticmethod
    def backward(ctx: _Context, diff: Tensor) -> Tensor:
        (cut,) = ctx.saved_tensors
        return -diff / cut
