"""Convolution, Deconvolution and Im2col over any number of axes (base_conv_layer.cpp)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.convolve import convolve
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.convolutions import filters


class _Sliding(Layer):
    """Base of both: filters that slide along 0 to 3 axes, one top per bottom.

    Without an axis to slide along, the bottom is taken for a line of one place.
    """

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        found = filters(self.param, bottoms[0])
        self._axes = len(found.kernel)
        if self._axes > 3:
            raise self.refuse(f"has {self._axes} spatial axes; up to 3 are supported")
        self._numbers: tuple[Shape, Shape, Shape] = ((1,), (0,), (1,))
        if self._axes:
            self._numbers = (found.stride, found.pad, found.dilation)
        channels = found.axis
        self._images = channels == 1 and self._axes > 0
        self._sides = (bottoms[0][channels], *(bottoms[0][channels + 1 :] or (1,)))
        self._top = tops[0]

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.convolution_param
        return [given.weight_filler, given.bias_filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        weight = self.blobs[0] if self._axes else self.blobs[0][..., None]
        bias = self.blobs[1] if len(self.blobs) > 1 else None
        if self._images:
            return [self._slide(bottom, weight, bias) for bottom in bottoms]
        views = [bottom.reshape(-1, *self._sides) for bottom in bottoms]
        return [self._slide(view, weight, bias).reshape(self._top) for view in views]

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError


class Convolution(_Sliding):
    """conv_layer.cpp."""

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, pad, dilation = self._numbers
        group = self.param.convolution_param.group
        return convolve(bottom, weight, bias, stride, pad, dilation, group)


class Deconvolution(_Sliding):
    """deconv_layer.cpp: the gradient of a convolution as a layer."""

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, pad, dilation = self._numbers
        group = self.param.convolution_param.group
        return convolve(bottom, weight, bias, stride, pad, dilation, group, transposed=True)


class Im2col(Layer):
    """im2col_layer.cpp: the values of each window as channels."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._filters = filters(self.param, bottoms[0])
        self._top = tops[0]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        found = self._filters
        margins = [pad for pad in reversed(found.pad) for _ in range(2)]
        windows = F.pad(bottoms[0], margins)
        first = found.axis + 1
        axes = range(len(found.kernel))
        for n in axes:
            windows = windows.unfold(first + n, found.extent[n], found.stride[n])
            windows = windows[..., :: found.dilation[n]]
        # (batches, channels, places, offsets in a window) -> offsets before places
        last = first + len(axes)
        order = (*range(first), *range(last, last + len(axes)), *range(first, last))
        return [windows.permute(order).reshape(self._top)]
