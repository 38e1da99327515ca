"""InnerProduct (inner_product_layer.cpp)."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis


class InnerProduct(Layer):
    """Every output from all values after `axis`, which are one vector in Caffe's order."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.inner_product_param
        self._axis = canonical_axis(self, given.axis, bottoms[0])
        if not given.num_output:
            raise self.refuse("has no num_output")
        shape = (given.num_output, math.prod(bottoms[0][self._axis :]))
        self.add_blob(shape[::-1] if given.transpose else shape, given.weight_filler)
        if given.bias_term:
            self.add_blob((given.num_output,), given.bias_filler)
        return [(*bottoms[0][: self._axis], given.num_output)]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        weight = self.blobs[0]
        if self.param.inner_product_param.transpose:
            weight = weight.t()
        bias = self.blobs[1] if len(self.blobs) > 1 else None
        return [F.linear(bottoms[0].flatten(self._axis), weight, bias)]
