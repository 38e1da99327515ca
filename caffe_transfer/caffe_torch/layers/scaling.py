"""Scale and Bias: multiply by, or add, a learned blob or a second bottom."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.learned import broadcast


class _Broadcast(Layer):
    """Base of both: a small blob that is broadcast over the bottom."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        start, small = broadcast(self.param, self._settings(), bottoms)
        self._view = (*small, *(1,) * (len(bottoms[0]) - start - len(small)))

    def _settings(self) -> pb.ScaleParameter | pb.BiasParameter:
        raise NotImplementedError

    def _spread(self, small: Tensor) -> Tensor:
        """The small blob in a shape that broadcasts over the bottom."""
        return small.float().reshape(self._view)


class Scale(_Broadcast):
    """scale_layer.cpp: scale x, and with bias_term scale x + bias."""

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.scale_param
        if len(self.param.bottom) > 1:
            return [given.bias_filler]
        one = pb.FillerParameter(type="constant", value=1)
        return [given.filler if given.HasField("filler") else one, given.bias_filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        x = bottoms[0].float()
        scale = self._spread(bottoms[1] if len(bottoms) > 1 else self.blobs[0])
        if not self.param.scale_param.bias_term:
            return [x * scale]
        return [torch.addcmul(self._spread(self.blobs[-1]), x, scale)]

    def _settings(self) -> pb.ScaleParameter:
        return self.param.scale_param


class Bias(_Broadcast):
    """bias_layer.cpp: x + bias."""

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        return [self.param.bias_param.filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        bias = bottoms[1] if len(bottoms) > 1 else self.blobs[0]
        return [bottoms[0].float() + self._spread(bias)]

    def _settings(self) -> pb.BiasParameter:
        return self.param.bias_param
