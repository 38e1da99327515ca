"""Pooling (pooling_layer.cpp)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape
from caffe_transfer.caffe_torch.layers.windows import Pair, image, pair, positive
from caffe_transfer.formats.proto import caffe_pb2 as pb


class Pooling(Layer):
    """MAX or AVE over windows; a second top of MAX has the places of the maxima.

    The number of windows is rounded up, unless round_mode says other, and a last one that would
    start in the padding is dropped.  AVE divides by the part of a window that lies within the
    padded image.  Of equal values the first is the maximum, and takes the gradient.
    """

    top_count = (1, 2)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.pooling_param
        batch, channels, *sides = image(self, bottoms[0])
        self._maximum = given.pool == pb.PoolingParameter.MAX
        if given.pool == pb.PoolingParameter.STOCHASTIC:
            raise self.refuse("is STOCHASTIC, which is not supported; use MAX or AVE")
        if len(self.param.top) == 2 and not self._maximum:
            raise self.refuse("has a second top, the places of the maxima, but is not MAX")
        self._set_windows((sides[0], sides[1]))
        height, width = (self._count(axis, sides[axis]) for axis in (0, 1))
        self._sides = (height, width)
        # Windows with much padding exceed what torch pads by itself.
        self._own_pad = any(2 * p > k for p, k in zip(self._pad, self._kernel, strict=True))
        return [(batch, channels, *self._sides)] * len(self.param.top)

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
        top, places = F.max_pool2d_with_indices(
            bottom, self._kernel, self._stride, pad, (1, 1), ceil
        )
        return [self._cut(top), self._cut(self._unpadded(places, bottom.shape[-1])).float()]

    def _set_windows(self, sides: Pair) -> None:
        given = self.param.pooling_param
        self._stride = positive(self, "stride", pair(self, given, "stride", "stride", 1))
        self._pad = pair(self, given, "pad", "pad", 0)
        if not given.global_pooling:
            kernel = pair(self, given, "kernel", "kernel_size")
            self._kernel = positive(self, "kernel", kernel)
        else:
            if any(given.HasField(name) for name in ("kernel_size", "kernel_h", "kernel_w")):
                raise self.refuse("is global, so that its kernel is the image; give no kernel")
            if self._pad != (0, 0) or self._stride != (1, 1):
                raise self.refuse("is global, so that it takes no pad and no stride")
            self._kernel = sides
        if any(pad >= kernel for pad, kernel in zip(self._pad, self._kernel, strict=True)):
            raise self.refuse("has a pad that is not smaller than its kernel")

    def _count(self, axis: int, side: int) -> int:
        """How many windows an axis has."""
        kernel, pad, stride = self._kernel[axis], self._pad[axis], self._stride[axis]
        room = side + 2 * pad - kernel
        ceil = self.param.pooling_param.round_mode == pb.PoolingParameter.CEIL
        count = (-(-room // stride) if ceil else room // stride) + 1
        if any(self._pad) and (count - 1) * stride >= side + pad:
            count -= 1
        if count < 1:
            raise self.refuse(f"has a window larger than its input, {side} pixels")
        if (count - 1) * stride >= side + pad:
            raise self.refuse(
                f"has a last window outside its input of {side} pixels; use a smaller stride"
            )
        return count

    def _maxima(self, bottom: Tensor) -> Tensor:
        """Maxima without their places, which only a gradient needs: along columns, then rows."""
        for axis, kernel, stride, count in zip(
            (2, 3), self._kernel, self._stride, self._sides, strict=True
        ):
            every = [
                bottom[(slice(None),) * axis + (slice(first, None, stride),)]
                for first in range(kernel)
            ]
            # The last windows may be cut off by the edge, so that they have fewer values.
            bottom = every[0].narrow(axis, 0, count).clone()
            for values in every[1:]:
                number = min(count, values.shape[axis])
                part = bottom.narrow(axis, 0, number)
                torch.maximum(part, values.narrow(axis, 0, number), out=part)
        return bottom

    def _cut(self, pooled: Tensor) -> Tensor:
        """Without the windows that start in padding of our own."""
        return pooled[:, :, : self._sides[0], : self._sides[1]] if self._own_pad else pooled

    def _unpadded(self, places: Tensor, width: int) -> Tensor:
        """Places in an image that was padded here, as those in the image itself."""
        if not self._own_pad:
            return places
        down, right = self._pad
        return (places // width - down) * (width - 2 * right) + places % width - right
