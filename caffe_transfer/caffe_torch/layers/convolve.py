"""Convolutions whose gradients are sums over many places."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

_PLACES = 1 << 15  # that a plain sum in float32 goes over and stays right to some 1e-6
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
    many = bottom.shape[0] * math.prod(bottom.shape[2:]) > _PLACES
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
    """On a CPU, where oneDNN sums the gradients of bias and filters in one float32.

    Here filters learn from some images at a time, and torch.sum adds up the bias in stages.
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
        bottom_diff = weight_diff = bias_diff = None
        if need_bottom:
            bottom_diff, _ = _gradients(top_diff, bottom, weight, ctx.settings, (True, False))
        if need_weight:
            images = max(1, _PLACES // math.prod(bottom.shape[2:]))
            for start in range(0, len(bottom), images):
                dy, x = top_diff[start : start + images], bottom[start : start + images]
                _, part = _gradients(dy, x, weight, ctx.settings, (False, True))
                weight_diff = part if weight_diff is None else weight_diff.add_(part)
        if need_bias:
            bias_diff = top_diff.sum((0, *range(2, top_diff.dim())))
        return bottom_diff, weight_diff, bias_diff, None


def _gradients(
    top_diff: Tensor, bottom: Tensor, weight: Tensor, settings: tuple[Any, ...],
    wanted: tuple[bool, bool],
) -> tuple[Any, Any]:  # fmt: skip
    """Those of the bottom and of the weight, as wanted."""
    found = torch.ops.aten.convolution_backward(
        top_diff, bottom, weight, None, *settings, [*wanted, False]
    )
    return found[0], found[1]
