"""LRN, local response normalization (lrn_layer.cpp)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer, to_channels_last
from caffe_transfer.caffe_torch.layers.parts import as_rows, row_parts
from caffe_transfer.caffe_torch.layers.pooling import padded_averages_fail
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape


class LRN(Layer):
    """y = x s^-beta, with s from the squares around x.

    ACROSS_CHANNELS: s = k + alpha / size (sum over `size` channels around it).
    WITHIN_CHANNEL: s = 1 + alpha (mean over size x size pixels around it); k is not used.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        channels, given = bottoms[0][1], self.param.lrn_param
        size = given.local_size
        if size % 2 == 0:
            raise self.refuse(f"has local_size {size}; it must be odd")
        # (channels, channels): how much each channel's square adds to each other's scale.
        ones = torch.ones(channels, channels, device=self.device)
        self._window = ones.tril_(size // 2).triu_(-(size // 2)).mul_(given.alpha / size)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given = self.param.lrn_param
        bottom = bottoms[0].float()
        if given.norm_region == pb.LRNParameter.WITHIN_CHANNEL:
            size = given.local_size
            squares, pad = bottom * bottom, size // 2
            if padded_averages_fail(self.device):
                squares, pad = F.pad(squares, (pad,) * 4), 0
            means = F.avg_pool2d(squares, size, 1, pad)
            return [bottom * (1 + given.alpha * means) ** -given.beta]
        top: Tensor = _AcrossChannels.apply(  # type: ignore[no-untyped-call]
            bottom, self._window, given.beta, given.k
        )
        return [top]


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]
    beta: float


class _AcrossChannels(torch.autograd.Function):
    """Caffe's two formulas, in parts so that temporaries stay small.

    The sum over neighbouring channels is a product with a band matrix: one pass through memory,
    where adding shifted channels would take one each.  `out` keeps it in float32 under autocast.
    """

    @staticmethod
    def forward(ctx: _Context, bottom: Tensor, window: Tensor, beta: float, k: float) -> Tensor:
        bottom = to_channels_last(bottom)
        top, scale, power = (torch.empty_like(bottom) for _ in range(3))
        for x, y, s, p in row_parts(*map(as_rows, (bottom, top, scale, power))):
            torch.mm(torch.mul(x, x, out=y), window, out=s).add_(k)
            torch.mul(_inverse_power(s, beta, out=p), x, out=y)
        ctx.save_for_backward(bottom, scale, power, window)
        ctx.beta = beta
        return top

    @staticmethod
    def backward(ctx: _Context, top_diff: Tensor) -> tuple[Tensor | None, ...]:
        bottom, scale, power, window = ctx.saved_tensors
        bottom_diff = torch.empty_like(bottom)
        blobs = (bottom, scale, power, to_channels_last(top_diff), bottom_diff)
        for x, s, p, dy, dx in row_parts(*map(as_rows, blobs)):
            torch.mul(p, dy, out=dx)
            ratios = (dx * x).div_(s)
            sums = torch.mm(ratios, window, out=torch.empty_like(ratios))
            dx.addcmul_(sums, x, value=-2 * ctx.beta)
        return bottom_diff, None, None, None


def _inverse_power(scale: Tensor, beta: float, out: Tensor) -> Tensor:
    """scale ** -beta; by square roots for the usual beta, which is faster."""
    if beta != 0.75:
        return torch.pow(scale, -beta, out=out)
    root = torch.rsqrt(scale)
    return torch.sqrt(root, out=out).mul_(root)
