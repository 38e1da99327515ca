"""Convolutions whose gradients are sums over many places."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

_PLACES = 1 << 15  # that a plain sum in float32 goes over and stays right to 1e-5
_Slide = Callable[..., Tensor]
_CONVOLUTIONS: dict[int, _Slide] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_DECONVOLUTIONS: dict[int, _Slide] = {
    1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d
}  # fmt: skip


def convolve(
    bottom: Tensor, weight: Tensor, bias: Tensor | None,
    stride: Sequence[int], pad: Sequence[int], dilation: Sequence[int], group: int,
    *, transposed: bool = False,
) -> Tensor:  # fmt: skip
    """Slide filters over a batch (batch, channels, ...) of one to three more axes.

    Args:
        transposed: slide as a deconvolution does.
    """
    steps = [1] * len(stride) if transposed else stride
    sides = [-(-side // step) for side, step in zip(bottom.shape[2:], steps, strict=True)]
    many = bottom.shape[0] * math.prod(sides) > _PLACES
    if many and bottom.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        settings = (stride, pad, dilation, transposed, [0] * len(stride), group)
        top: Tensor = _Convolution.apply(bottom, weight, bias, settings)  # type: ignore[no-untyped-call]
        return top
    slide = (_DECONVOLUTIONS if transposed else _CONVOLUTIONS)[len(stride)]
    return slide(
        bottom, weight, bias, stride=stride, padding=pad, dilation=dilation, groups=group
    )  # fmt: skip


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    settings: tuple[Any, ...]


class _Convolution(torch.autograd.Function):
    """On a CPU, where oneDNN sums the gradients of filters and bias over a batch in one float32.

    Here it does so for some images at a time.
    """

    @staticmethod
    def forward(
        ctx: _Context, bottom: Tensor, weight: Tensor, bias: Tensor | None,
        settings: tuple[Any, ...],
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(bottom, weight)
        ctx.settings = settings
        return torch.convolution(bottom, weight, bias, *settings)

    @staticmethod
    def backward(ctx: _Context, top_diff: Tensor) -> tuple[Tensor | None, ...]:
        bottom, weight = ctx.saved_tensors
        need_bottom, need_weight, need_bias, _ = ctx.needs_input_grad
        sizes = [weight.shape[1] * ctx.settings[-1] if ctx.settings[3] else len(weight)]

        def gradients(dy: Tensor, x: Tensor, *wanted: bool) -> tuple[Tensor | None, ...]:
            return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
                dy, x, weight, sizes, *ctx.settings, wanted
            )

        bottom_diff = weight_diff = bias_diff = None
        if need_bottom:
            bottom_diff = gradients(top_diff, bottom, True, False, False)[0]
        if need_weight or need_bias:
            summed = bottom if ctx.settings[3] else top_diff  # the filters slide over the other
            images = max(1, _PLACES // math.prod(summed.shape[2:]))
            for start in range(0, len(bottom), images):
                part = slice(start, start + images)
                found = gradients(top_diff[part], bottom[part], False, need_weight, need_bias)
                weight_diff, bias_diff = map(_sum, (weight_diff, bias_diff), found[1:])
        return bottom_diff, weight_diff, bias_diff, None


def _sum(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    return part if total is None or part is None else total.add_(part)
