"""Filter and BatchReindex: layers that choose the items of a batch."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.indices import read_indices


class Filter(Layer):
    """filter_layer.cpp: the items of each bottom for which the last bottom is not 0.

    Their number changes from batch to batch, perhaps to 0.
    """

    capturable: ClassVar[bool] = False  # tops of any number of items

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        *items, selector = bottoms
        chosen = torch.nonzero(selector.detach().flatten()).flatten()
        return [bottom.index_select(0, chosen) for bottom in items]


class BatchReindex(Layer):
    """batch_reindex_layer.cpp: the item of the first bottom for each index of the second."""

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        items, indices = bottoms
        return [items.index_select(0, read_indices(self, indices, len(items)))]
