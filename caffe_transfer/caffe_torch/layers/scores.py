"""Accuracy and ArgMax: what comes of scores; neither has a gradient."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis
from caffe_transfer.caffe_torch.layers.labels import class_view, read_labels


class Accuracy(Layer):
    """accuracy_layer.cpp: the share of labels among the top_k scores; a second top per class.

    Scores equal to that of the label count as better than it.
    """

    bottom_count = (2, 2)
    top_count = (1, 2)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.accuracy_param
        axis = canonical_axis(self, given.axis, bottoms[0])
        self._view = class_view(self, axis, bottoms)
        if given.top_k > self._view[1]:
            raise self.refuse(f"has top_k {given.top_k}, but only {self._view[1]} classes")
        return [(), (self._view[1],)][: len(self.param.top)]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given = self.param.accuracy_param
        outer, classes, inner = self._view
        scores = bottoms[0].detach().float().reshape(self._view)
        ignore = given.ignore_label if given.HasField("ignore_label") else None
        labels = read_labels(self, bottoms[1].reshape(outer, 1, inner), classes, ignore)
        index = labels.index.clamp(0, classes - 1)  # a GPU may come with others
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
    """argmax_layer.cpp: the places of the top_k largest values; of equal ones the last is first.

    With an axis: along it, the places, or with out_max_val the values.  Without: of each image as
    a whole, the places, and with out_max_val the values after them.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given, shape = self.param.argmax_param, bottoms[0]
        self._axis = canonical_axis(self, given.axis, shape) if given.HasField("axis") else None
        length = math.prod(shape[1:]) if self._axis is None else shape[self._axis]
        if not 1 <= given.top_k <= length:
            raise self.refuse(f"has top_k {given.top_k}; it must be from 1 to {length}")
        if self._axis is not None:
            return [(*shape[: self._axis], given.top_k, *shape[self._axis + 1 :])]
        more = (1,) * (len(shape) - 3)
        self._shape = (shape[0], 2 if given.out_max_val else 1, given.top_k, *more)
        return [self._shape]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given, bottom = self.param.argmax_param, bottoms[0].detach()
        if self._axis is not None:
            values, places = _largest(bottom, self._axis, given.top_k)
            return [values if given.out_max_val else places]
        values, places = _largest(bottom.flatten(1), 1, given.top_k)
        found = [places, values] if given.out_max_val else [places]
        return [torch.stack(found, 1).view(self._shape)]


def _largest(values: Tensor, axis: int, number: int) -> tuple[Tensor, Tensor]:
    """The largest values and their places; of equal ones the last comes first."""
    backwards = values.flip(axis)
    found, places = backwards.sort(dim=axis, descending=True, stable=True)
    places = values.shape[axis] - 1 - places
    return found.narrow(axis, 0, number), places.narrow(axis, 0, number).float()
