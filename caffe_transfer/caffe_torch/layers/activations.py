"""Elementwise layers (neuron_layer.cpp)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape

_LARGEST_EXPONENT = 709  # of e, in a float64


class Neuron(Layer):
    """A layer that maps one bottom to one top."""

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
    """dropout_layer.cpp: in training, values are zeroed at random and the others scaled up.

    On the CPU the masks are Caffe's; elsewhere torch draws them.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._ratio = self.param.dropout_param.dropout_ratio
        if not 0 <= self._ratio < 1:
            raise self.refuse(f"has dropout_ratio {self._ratio:g}; it must be from 0 to below 1")

    def apply(self, x: Tensor) -> Tensor:
        if self.phase != pb.TRAIN:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self._ratio)
        kept = torch.from_numpy(self.rng.bernoulli(x.numel(), 1 - self._ratio)).view(x.shape)
        return x * kept.to(x.dtype).mul_(1 / (1 - self._ratio))


class PReLU(Neuron):
    """prelu_layer.cpp: max(x, 0) + slope min(x, 0), with learned slopes."""

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.prelu_param
        quarter = pb.FillerParameter(type="constant", value=0.25)
        return [given.filler if given.HasField("filler") else quarter]

    def apply(self, x: Tensor) -> Tensor:
        x = x.float()  # autocast would run torch's own prelu in bfloat16
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

    Where the base is 0 the gradient is its limit; Caffe's is NaN.
    """

    def apply(self, x: Tensor) -> Tensor:
        given = self.param.power_param
        if not given.power or not given.scale:
            constant = given.shift**given.power if given.power else 1.0
            return torch.full_like(x, constant, dtype=torch.float32)
        base = x.float() * given.scale + given.shift
        return base if given.power == 1 else base**given.power


class Clip(Neuron):
    """clip_layer.cpp: x, but not below `min` and not above `max`.

    In place all gradients pass, as Caffe's reads the values that are already clipped.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        given = self.param.clip_param
        if given.min > given.max:
            raise self.refuse(f"has min {given.min:g}, which is above its max {given.max:g}")

    def apply(self, x: Tensor) -> Tensor:
        given = self.param.clip_param
        if self.param.bottom[0] != self.param.top[0]:
            return x.clamp(given.min, given.max)
        clipped: Tensor = _Clipped.apply(x, given.min, given.max)  # type: ignore[no-untyped-call]
        return clipped


class _Clipped(torch.autograd.Function):
    """Clipped values with the gradient of values that are not."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, least: float, most: float) -> Tensor:
        return x.clamp(least, most)

    @staticmethod
    def backward(ctx: FunctionCtx, diff: Tensor) -> tuple[Tensor, None, None]:
        return diff, None, None


class Swish(Neuron):
    """swish_layer.cpp: x sigmoid(beta x)."""

    def apply(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.sigmoid(self.param.swish_param.beta * x)


class _Logarithmic(Neuron):
    """Base of Exp and Log: to a base above 0, or -1 for e."""

    def _log_of(self, base: float) -> float:
        if base == -1:
            return 1.0
        if base <= 0 or math.isinf(base):
            raise self.refuse(f"has base {base:g}; it must be above 0, or -1 for e")
        return math.log(base)


class Exp(_Logarithmic):
    """exp_layer.cpp: base^(shift + scale x)."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        given = self.param.exp_param
        log_base = self._log_of(given.base)
        shift = log_base * given.shift
        self._inner = log_base * given.scale
        self._outer = math.inf if shift > _LARGEST_EXPONENT else math.exp(shift)

    def apply(self, x: Tensor) -> Tensor:
        return torch.exp(x.float() * self._inner) * self._outer


class Log(_Logarithmic):
    """log_layer.cpp: log(shift + scale x) to a base."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        log_base = self._log_of(self.param.log_param.base)
        if not log_base:
            raise self.refuse("has base 1, to which there are no logarithms")
        self._factor = 1 / log_base

    def apply(self, x: Tensor) -> Tensor:
        given = self.param.log_param
        return torch.log(x.float() * given.scale + given.shift) * self._factor


class BNLL(Neuron):
    """bnll_layer.cpp: log(1 + exp(x))."""

    def apply(self, x: Tensor) -> Tensor:
        return F.softplus(x.float())


class Threshold(Neuron):
    """threshold_layer.cpp: 1 above the threshold, else 0; no gradient."""

    def apply(self, x: Tensor) -> Tensor:
        return (x.detach() > self.param.threshold_param.threshold).float()
