"""InnerProduct (inner_product_layer.cpp)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape


class InnerProduct(Layer):
    """Fully connected: the axes from `axis` on are flattened into one vector, in C order."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._axis = len(tops[0]) - 1

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.inner_product_param
        return [given.weight_filler, given.bias_filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        weight = self.blobs[0]
        if self.param.inner_product_param.transpose:
            weight = weight.t()
        bias = self.blobs[1] if len(self.blobs) > 1 else None
        return [F.linear(bottoms[0].flatten(self._axis), weight, bias)]
