"""Accuracy and ArgMax; neither has a gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.labels import read_labels
from caffe_transfer.caffe_torch.layers.parts import as_matrix
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.losses import class_view


class Accuracy(Layer):
    """accuracy_layer.cpp: the share of labels among the top_k scores; a second top has it by class.

    Scores that tie with the label's count as better.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._view = class_view(self.param, self.param.accuracy_param.axis, bottoms)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given = self.param.accuracy_param
        outer, classes, inner = self._view
        scores = bottoms[0].detach().float().reshape(self._view)
        ignore = given.ignore_label if given.HasField("ignore_label") else None
        labels = read_labels(self, bottoms[1].reshape(outer, 1, inner), classes, ignore)
        index = labels.index.clamp(0, classes - 1)  # a GPU does not check them
        better = (scores >= scores.gather(1, index)).sum(1, keepdim=True) - 1
        hits = labels.zero_ignored((better < given.top_k).float())
        number = labels.number()
        share = hits.sum() / (number.clamp(min=1) if isinstance(number, Tensor) else number)
        if len(self.param.top) == 1:
            return [share]
        counted = labels.zero_ignored(torch.ones_like(hits))
        empty = hits.new_zeros(classes)
        numbers = empty.index_add(0, index.flatten(), counted.flatten())
        found = empty.index_add(0, index.flatten(), hits.flatten())
        return [share, found / numbers.clamp(min=1)]


class ArgMax(Layer):
    """argmax_layer.cpp: indices of the top_k largest values; the last of equal ones is first.

    With an axis: the indices along it, or with out_max_val the values.  Without: the indices in
    each image as a whole, followed by the values with out_max_val.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        given = self.param.argmax_param
        self._axis = given.axis if given.HasField("axis") else None
        self._shape = tops[0]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given, bottom = self.param.argmax_param, bottoms[0].detach()
        if self._axis is not None:
            values, indices = _largest(bottom, self._axis, given.top_k)
            return [values if given.out_max_val else indices]
        values, indices = _largest(as_matrix(bottom), 1, given.top_k)
        found = [indices, values] if given.out_max_val else [indices]
        return [torch.stack(found, 1).view(self._shape)]


def _largest(values: Tensor, axis: int, number: int) -> tuple[Tensor, Tensor]:
    """The largest values and their indices; the last of equal ones comes first."""
    backwards = values.flip(axis)
    found, indices = backwards.sort(dim=axis, descending=True, stable=True)
    indices = values.shape[axis] - 1 - indices
    return found.narrow(axis, 0, number), indices.narrow(axis, 0, number).float()
