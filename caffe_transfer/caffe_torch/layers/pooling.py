"""Pooling (pooling_layer.cpp)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.windows import pooling_windows


def padded_averages_fail(device: torch.device) -> bool:
    """Whether averages must be taken of images that are padded beforehand.

    On a GPU, PyTorch up to 2.13 forgets the padding in the gradient of avg_pool2d over images in
    channels_last (pytorch/pytorch#188344).
    """
    return device.type == "cuda"


class Pooling(Layer):
    """MAX or AVE over windows; a second top of MAX holds the indices of the maxima.

    The number of windows is rounded up by default (round_mode), and a last one that would start in
    the padding is dropped.  AVE divides by the part of a window that lies within the padded image.
    The first of equal maxima takes the gradient.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        pool = self.param.pooling_param.pool
        if pool == pb.PoolingParameter.STOCHASTIC:
            raise self.refuse("is STOCHASTIC, which is not supported; use MAX or AVE")
        self._maximum = pool == pb.PoolingParameter.MAX
        windows = pooling_windows(self.param, (bottoms[0][2], bottoms[0][3]))
        self._kernel, self._stride, self._pad = windows.kernel, windows.stride, windows.pad
        self._sides = tops[0][2:]
        # torch pads by at most half a window, and see `padded_averages_fail`.
        wide = any(2 * p > k for p, k in zip(self._pad, self._kernel, strict=True))
        averages = not self._maximum and padded_averages_fail(self.device)
        self._own_pad = wide or (averages and any(self._pad))

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        bottom = bottoms[0]
        pad = self._pad
        if self._own_pad:
            (down, right), pad = pad, (0, 0)
            filling = -torch.inf if self._maximum else 0.0
            bottom = F.pad(bottom, (right, right, down, down), value=filling)
        ceil = self.param.pooling_param.round_mode == pb.PoolingParameter.CEIL
        if not self._maximum:
            return [self._cut(F.avg_pool2d(bottom.float(), self._kernel, self._stride, pad, ceil))]
        if len(self.param.top) == 1:
            learning = bottom.requires_grad and torch.is_grad_enabled()
            if not learning and bottom.device.type == "cpu" and pad == (0, 0):
                return [self._maxima(bottom)]
            return [self._cut(F.max_pool2d(bottom, self._kernel, self._stride, pad, 1, ceil))]
        top, indices = F.max_pool2d_with_indices(
            bottom, self._kernel, self._stride, pad, (1, 1), ceil
        )
        return [self._cut(top), self._cut(self._unpadded(indices, bottom.shape[-1])).float()]

    def _maxima(self, bottom: Tensor) -> Tensor:
        """Maxima without indices, which only gradients need: down columns, then along rows."""
        for axis, kernel, stride, count in zip(
            (2, 3), self._kernel, self._stride, self._sides, strict=True
        ):
            every = [
                bottom[(slice(None),) * axis + (slice(first, None, stride),)]
                for first in range(kernel)
            ]
            # The edge may clip the last windows, which then have fewer values.
            bottom = every[0].narrow(axis, 0, count).clone()
            for values in every[1:]:
                number = min(count, values.shape[axis])
                part = bottom.narrow(axis, 0, number)
                torch.maximum(part, values.narrow(axis, 0, number), out=part)
        return bottom

    def _cut(self, pooled: Tensor) -> Tensor:
        """Drop the windows that start in padding added here."""
        return pooled[:, :, : self._sides[0], : self._sides[1]] if self._own_pad else pooled

    def _unpadded(self, indices: Tensor, width: int) -> Tensor:
        """Turn indices into an image padded here into indices into the image itself."""
        if not self._own_pad:
            return indices
        down, right = self._pad
        return (indices // width - down) * (width - 2 * right) + indices % width - right
