"""BatchNorm and MVN: subtract the mean, divide by the deviation."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.parts import as_rows, row_parts
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape


class BatchNorm(Layer):
    """batch_norm_layer.cpp: (x - mean) / sqrt(variance + eps), per channel.

    In training, mean and variance are the batch's, and are added to the blobs: sum of means, sum of
    unbiased variances and number of summands, all decaying by moving_average_fraction.  In tests
    they are the blobs' averages.
    """

    statistics = True

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        given, testing = self.param.batch_norm_param, self.phase == pb.TEST
        self._use_blobs = given.use_global_stats if given.HasField("use_global_stats") else testing

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        bottom, eps = bottoms[0].float(), self.param.batch_norm_param.eps
        means, variances, number = self.blobs
        if self._use_blobs:
            factor = torch.where(number == 0, 0.0, 1 / number)
            statistics = (means * factor, variances * factor)
            return [_normalized(bottom, *statistics, from_batch=False, eps=eps)]
        if bottom.device.type == "cpu" and (bottom.dim() == 2 or not bottom.is_contiguous()):
            top, mean, variance = _ByRows.apply(bottom, eps)  # type: ignore[no-untyped-call]
        else:
            mean, variance = torch.zeros_like(means), torch.zeros_like(variances)
            top = _normalized(bottom, mean, variance, from_batch=True, eps=eps)
        if bottom.numel() == bottom.shape[1]:
            variance = torch.zeros_like(variance)  # of one value per channel; torch has NaN
        self._add(mean, variance)
        return [top]

    def _add(self, *statistics: Tensor) -> None:
        one = torch.ones_like(self.blobs[2])
        with torch.no_grad():
            for blob, new in zip(self.blobs, (*statistics, one), strict=True):
                blob.mul_(self.param.batch_norm_param.moving_average_fraction).add_(new)


def _normalized(
    bottom: Tensor, mean: Tensor, variance: Tensor, *, from_batch: bool, eps: float
) -> Tensor:
    """Normalize by mean and variance, or by the batch's, which are written to them."""
    return torch.batch_norm(
        bottom, None, None, mean, variance, from_batch, 1.0, eps, torch.backends.cudnn.enabled
    )


class _Context(FunctionCtx):
    saved_tensors: tuple[Tensor, ...]
    axes: tuple[int, ...]


class _ByRows(torch.autograd.Function):
    """Blobs whose channels lie innermost on a CPU -> the same normalized, means and variances.

    PyTorch's kernels for this order sum each channel in one float32, which at 32x64x112x112 is
    wrong in the fourth digit.  Here they sum parts, whose results are added up in float64.
    """

    @staticmethod
    def forward(ctx: _Context, bottom: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        rows = as_rows(bottom)
        mean, variance = _mean_and_variance(rows)
        inverse, shift = (variance + eps).rsqrt().float(), mean.float()
        normalized = torch.empty_like(rows)
        for x, y in row_parts(rows, normalized):
            torch.sub(x, shift, out=y).mul_(inverse)
        unbiased = (variance * (len(rows) / max(1, len(rows) - 1))).float()
        ctx.save_for_backward(normalized, inverse)
        ctx.mark_non_differentiable(shift, unbiased)
        return _as_blob(normalized, bottom.shape), shift, unbiased

    @staticmethod
    def backward(ctx: _Context, top_diff: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Caffe's: (diff - mean(diff) - top mean(diff top)) / deviation."""
        top, inverse = ctx.saved_tensors
        diff = as_rows(top_diff)
        zero, one = torch.zeros_like(inverse), torch.ones_like(inverse)
        sums = [
            torch.ops.aten.native_batch_norm_backward(  # of diff top, and of diff
                _as_image(dy), _as_image(y), None, None, None, zero, one, True, 0.0,
                [False, True, True],
            )[1:]
            for dy, y in row_parts(diff, top)
        ]  # fmt: skip
        by_top, constant = (
            (torch.stack(each).sum(0, dtype=torch.float64) / -len(diff)).float().mul_(inverse)
            for each in zip(*sums, strict=True)
        )
        result = torch.empty_like(top)
        for dy, y, dx in row_parts(diff, top, result):
            torch.addcmul(constant, dy, inverse, out=dx).addcmul_(y, by_top)
        return _as_blob(result, top_diff.shape), None


def _mean_and_variance(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel, float64: those of the parts, joined by their sizes."""
    parts = [part for (part,) in row_parts(rows)]
    found = [torch.batch_norm_update_stats(_as_image(part), None, None, 1.0) for part in parts]
    means, variances = (torch.stack(each).double() for each in zip(*found, strict=True))
    shares = torch.tensor([len(part) / len(rows) for part in parts], dtype=torch.float64)
    mean = shares @ means
    return mean, shares @ (variances + (means - mean).square())


def _as_image(rows: Tensor) -> Tensor:
    """Rows of channels as one image, (1, channels, rows, 1), in channels_last."""
    return rows.t()[None, :, :, None]


def _as_blob(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of as_rows."""
    return rows.view(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


class MVN(Layer):
    """mvn_layer.cpp: (x - mean) / (deviation + eps), per image or per channel of an image.

    Its top always has four axes (nets/shapes).
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._shape = tops[0]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given = self.param.mvn_param
        axes = (1, 2, 3) if given.across_channels else (2, 3)
        bottom = bottoms[0].float().reshape(self._shape)
        if not given.normalize_variance:
            return [bottom - bottom.mean(axes, keepdim=True)]
        return [_MeanVariance.apply(bottom, axes, given.eps)]  # type: ignore[no-untyped-call]


class _MeanVariance(torch.autograd.Function):
    """Caffe's gradient, which treats eps as part of the deviation."""

    @staticmethod
    def forward(ctx: _Context, bottom: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
        top = bottom - bottom.mean(axes, keepdim=True)
        deviation = (top * top).mean(axes, keepdim=True).sqrt_().add_(eps)
        top.div_(deviation)
        ctx.save_for_backward(top, deviation)
        ctx.axes = axes
        return top

    @staticmethod
    def backward(ctx: _Context, top_diff: Tensor) -> tuple[Tensor | None, ...]:
        top, deviation = ctx.saved_tensors
        shared = (top_diff * top).mean(ctx.axes, keepdim=True) * top
        centred = top_diff - top_diff.mean(ctx.axes, keepdim=True)
        return (centred - shared) / deviation, None, None
