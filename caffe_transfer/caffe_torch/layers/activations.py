"""Layers that work on each value by itself (neuron_layer.cpp)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape
from caffe_transfer.formats.proto import caffe_pb2 as pb


class Neuron(Layer):
    """A layer whose top has the shape of its bottom."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        return [bottoms[0]]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [self.apply(bottoms[0])]

    def apply(self, x: Tensor) -> Tensor:
        """The top for this bottom."""
        raise NotImplementedError


class ReLU(Neuron):
    """relu_layer.cpp: max(x, 0) + negative_slope min(x, 0)."""

    def apply(self, x: Tensor) -> Tensor:
        slope = self.param.relu_param.negative_slope
        if slope:
            return F.leaky_relu(x, slope)
        return F.relu_(x) if self.in_place else F.relu(x)


class Dropout(Neuron):
    """dropout_layer.cpp: in training, values are zeroed by chance and the others scaled up.

    On the CPU the masks are those that Caffe draws; elsewhere torch draws them.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        self._ratio = self.param.dropout_param.dropout_ratio
        if not 0 <= self._ratio < 1:
            raise self.refuse(f"has dropout_ratio {self._ratio:g}; it must be from 0 to below 1")
        return [bottoms[0]]

    def apply(self, x: Tensor) -> Tensor:
        if self.phase != pb.TRAIN:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self._ratio)
        kept = torch.from_numpy(self.rng.bernoulli(x.numel(), 1 - self._ratio)).view(x.shape)
        return x * kept.to(x.dtype).mul_(1 / (1 - self._ratio))


class PReLU(Neuron):
    """prelu_layer.cpp: max(x, 0) + slope min(x, 0), with slopes that learn."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.prelu_param
        if len(bottoms[0]) < 2:
            raise self.refuse(f"needs channels, but its bottom has the shape {bottoms[0]}")
        quarter = pb.FillerParameter(type="constant", value=0.25)
        filler = given.filler if given.HasField("filler") else quarter
        self.add_blob(() if given.channel_shared else (bottoms[0][1],), filler)
        return [bottoms[0]]

    def apply(self, x: Tensor) -> Tensor:
        x = x.float()  # by hand, as autocast would give torch's own prelu to bfloat16
        slopes = self.blobs[0].reshape(-1, *(1,) * (x.dim() - 2))
        return torch.where(x > 0, x, x * slopes)


class ELU(Neuron):
    """elu_layer.cpp: x above 0, alpha (exp(x) - 1) below."""

    def apply(self, x: Tensor) -> Tensor:
        return F.elu(x.float(), self.param.elu_param.alpha)


class Sigmoid(Neuron):
    """sigmoid_layer.cpp."""

    def apply(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x.float())


class TanH(Neuron):
    """tanh_layer.cpp."""

    def apply(self, x: Tensor) -> Tensor:
        return torch.tanh(x.float())


class AbsVal(Neuron):
    """absval_layer.cpp."""

    def apply(self, x: Tensor) -> Tensor:
        return x.abs()


class Power(Neuron):
    """power_layer.cpp: (shift + scale x)^power.

    Where the base is 0 the gradient is its limit; Caffe's is not a number there.
    """

    def apply(self, x: Tensor) -> Tensor:
        given = self.param.power_param
        if not given.power or not given.scale:
            constant = given.shift**given.power if given.power else 1.0
            return torch.full_like(x, constant, dtype=torch.float32)
        base = x.float() * given.scale + given.shift
        return base if given.power == 1 else base**given.power


class _Logarithmic(Neuron):
    """What Exp and Log have in common: a base above 0, or -1 for e."""

    def _log_of(self, base: float) -> float:
        if base == -1:
            return 1.0
        if base <= 0 or math.isinf(base):
            raise self.refuse(f"has base {base:g}; it must be above 0, or -1 for e")
        return math.log(base)


class Exp(_Logarithmic):
    """exp_layer.cpp: base^(shift + scale x)."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.exp_param
        log_base = self._log_of(given.base)
        self._inner, self._outer = log_base * given.scale, math.exp(log_base * given.shift)
        return [bottoms[0]]

    def apply(self, x: Tensor) -> Tensor:
        return torch.exp(x.float() * self._inner) * self._outer


class Log(_Logarithmic):
    """log_layer.cpp: log(shift + scale x) to a base."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        log_base = self._log_of(self.param.log_param.base)
        if not log_base:
            raise self.refuse("has base 1, to which there are no logarithms")
        self._factor = 1 / log_base
        return [bottoms[0]]

    def apply(self, x: Tensor) -> Tensor:
        given = self.param.log_param
        return torch.log(x.float() * given.scale + given.shift) * self._factor


class BNLL(Neuron):
    """bnll_layer.cpp: log(1 + exp(x))."""

    def apply(self, x: Tensor) -> Tensor:
        return F.softplus(x.float())


class Threshold(Neuron):
    """threshold_layer.cpp: 1 above the threshold, else 0; without a gradient."""

    def apply(self, x: Tensor) -> Tensor:
        return (x.detach() > self.param.threshold_param.threshold).float()
