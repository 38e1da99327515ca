"""LRN, local response normalization (lrn_layer.cpp)."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer, Shape
from caffe_transfer.caffe_torch.layers.windows import image
from caffe_transfer.proto import caffe_pb2 as pb

_PART = 1 << 18  # values worked on at once on a CPU: they stay in its cache


class LRN(Layer):
    """y = x s^-beta, with s from the squares around x.

    ACROSS_CHANNELS: s = k + alpha / size (sum over `size` channels around it).
    WITHIN_CHANNEL: s = 1 + alpha (mean over size x size pixels around it); k is not used.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        image(self, bottoms[0])
        size = self.param.lrn_param.local_size
        if size % 2 == 0:
            raise self.refuse(f"has local_size {size}; it must be odd")
        return [bottoms[0]]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given = self.param.lrn_param
        bottom = bottoms[0].float()
        if given.norm_region == pb.LRNParameter.WITHIN_CHANNEL:
            size = given.local_size
            means = F.avg_pool2d(bottom * bottom, size, 1, size // 2)
            return [bottom * (1 + given.alpha * means) ** -given.beta]
        settings = (given.local_size, given.alpha, given.beta, given.k)
        return [_AcrossChannels.apply(bottom, *settings)]  # type: ignore[no-untyped-call]


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]
    size: int
    alpha: float
    beta: float


class _AcrossChannels(torch.autograd.Function):
    """Caffe's two formulas; what would be temporaries of the whole batch is made part by part."""

    @staticmethod
    def forward(
        ctx: _Context, bottom: Tensor, size: int, alpha: float, beta: float, k: float
    ) -> Tensor:
        top, scale = torch.empty_like(bottom), torch.empty_like(bottom)
        for part in _parts(bottom):
            x, s = bottom[part], scale[part]
            _add_window(s.fill_(k), x * x, size, alpha / size)
            torch.mul(_power(s, beta), x, out=top[part])
        ctx.save_for_backward(bottom, scale)
        ctx.size, ctx.alpha, ctx.beta = size, alpha, beta
        return top

    @staticmethod
    def backward(ctx: _Context, top_diff: Tensor) -> tuple[Tensor | None, ...]:
        bottom, scale = ctx.saved_tensors
        factor = -2 * ctx.alpha * ctx.beta / ctx.size
        bottom_diff = torch.empty_like(bottom)
        for part in _parts(bottom):
            x, s, diff = bottom[part], scale[part], bottom_diff[part]
            torch.mul(_power(s, ctx.beta), top_diff[part], out=diff)
            ratio = (diff * x).div_(s)
            sums = _add_window(torch.zeros_like(ratio), ratio, ctx.size, 1.0)
            diff.addcmul_(sums, x, value=factor)
        return bottom_diff, None, None, None, None


def _parts(batch: Tensor) -> Iterator[slice]:
    """The batch in as many images at once as are worked on fast; all of them off the CPU."""
    number = each = batch.shape[0]
    if batch.device.type == "cpu":
        each = max(1, _PART * number // batch.numel())
    return (slice(start, start + each) for start in range(0, number, each))


def _add_window(total: Tensor, values: Tensor, size: int, factor: float) -> Tensor:
    """Add factor times the sum of the channels around each channel."""
    total.add_(values, alpha=factor)
    for shift in range(1, min(size // 2, values.shape[1] - 1) + 1):
        total[:, shift:].add_(values[:, :-shift], alpha=factor)
        total[:, :-shift].add_(values[:, shift:], alpha=factor)
    return total


def _power(scale: Tensor, beta: float) -> Tensor:
    """scale to the power of -beta; by roots for the usual beta, for speed."""
    if beta != 0.75:
        return scale**-beta
    root = torch.rsqrt(scale)
    return root.sqrt().mul_(root)
