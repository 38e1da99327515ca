"""Bottoms that hold indices: rows of a table, items of a batch."""

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer


def read_indices(layer: Layer, indices: Tensor, count: int) -> Tensor:
    """Indices truncated to integers, as Caffe does; int64.

    On a GPU they are not checked, as that would synchronize with it.

    Raises:
        BadInput: one of them is not from 0 to below `count`.
    """
    found = indices.detach().long()
    if found.device.type == "cpu" and found.numel():
        least, most = (int(value) for value in torch.aminmax(found))
        if least < 0 or most >= count:
            wrong = least if least < 0 else most
            raise layer.refuse(f"got the index {wrong}, which is not one of 0 to {count - 1}")
    return found
