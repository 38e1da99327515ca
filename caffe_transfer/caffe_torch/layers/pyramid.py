"""SPP (spp_layer.cpp)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.pooling import Pooling
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.windows import pyramid


class SPP(Layer):
    """Spatial pyramid pooling: an image pooled into 1, 4, 16, ... windows, joined in a row.

    A pyramid of one level keeps the axes (batch, channels, 1, 1).
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        if self.param.spp_param.pool == pb.SPPParameter.STOCHASTIC:
            raise self.refuse("is STOCHASTIC, which is not supported; use MAX or AVE")
        levels = pyramid(self.param, bottoms[0])
        self._levels = [Pooling(level, self.phase, self.rng) for level in levels]
        for level in self._levels:
            level.device = self.device
            level.set_up(bottoms)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        tops = [level.forward(bottoms)[0] for level in self._levels]
        return tops if len(tops) == 1 else [torch.cat([top.flatten(1) for top in tops], 1)]
