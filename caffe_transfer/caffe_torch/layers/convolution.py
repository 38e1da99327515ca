"""Convolution and Deconvolution of images (base_conv_layer.cpp)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis
from caffe_transfer.caffe_torch.layers.windows import Pair, image, pair, positive


class _Sliding(Layer):
    """What both have in common: filters that slide over images, a top for each bottom."""

    bottom_count = (1, None)
    top_count = (1, None)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.convolution_param
        batch, channels, height, width = image(self, bottoms[0])
        if len(self.param.bottom) != len(self.param.top):
            raise self.refuse("needs a top for each bottom")
        if any(shape != bottoms[0] for shape in bottoms):
            raise self.refuse("needs bottoms of one shape")
        if canonical_axis(self, given.axis, bottoms[0]) != 1:
            raise self.refuse(f"has axis {given.axis}; only axis 1, the channels, is supported")
        self._kernel = positive(self, "kernel", pair(self, given, "kernel", "kernel_size"))
        self._stride = positive(self, "stride", pair(self, given, "stride", "stride", 1))
        self._pad = pair(self, given, "pad", "pad", 0, alone=True)
        self._dilation = positive(self, "dilation", pair(self, given, "dilation", "dilation", 1))
        if not given.num_output:
            raise self.refuse("has no num_output")
        if channels % given.group or given.num_output % given.group:
            raise self.refuse(
                f"has {given.group} groups, which do not divide its {channels} input channels "
                f"and its {given.num_output} outputs evenly"
            )
        sides = self._sides((height, width))
        if min(sides) < 1:
            raise self.refuse(
                f"has a window larger than its input of {height} x {width}; use larger images"
            )
        self.add_blob(self._weight_shape(channels), given.weight_filler)
        if given.bias_term:
            self.add_blob((given.num_output,), given.bias_filler)
        return [(batch, given.num_output, *sides)] * len(bottoms)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        weight = self.blobs[0]
        bias = self.blobs[1] if len(self.blobs) > 1 else None
        return [self._slide(bottom, weight, bias) for bottom in bottoms]

    def _extent(self) -> Pair:
        """The pixels that a filter spans."""
        (high, wide), (down, right) = self._kernel, self._dilation
        return down * (high - 1) + 1, right * (wide - 1) + 1

    def _sides(self, sides: Pair) -> Pair:
        """The height and width of the tops."""
        raise NotImplementedError

    def _weight_shape(self, channels: int) -> Shape:
        raise NotImplementedError

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError


class Convolution(_Sliding):
    """conv_layer.cpp, over two axes."""

    def _sides(self, sides: Pair) -> Pair:
        found = [
            (side + 2 * pad - extent) // stride + 1
            for side, pad, extent, stride in zip(
                sides, self._pad, self._extent(), self._stride, strict=True
            )
        ]
        return found[0], found[1]

    def _weight_shape(self, channels: int) -> Shape:
        given = self.param.convolution_param
        return (given.num_output, channels // given.group, *self._kernel)

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        group = self.param.convolution_param.group
        return F.conv2d(
            bottom, weight, bias, self._stride, self._pad, self._dilation, group
        )  # fmt: skip


class Deconvolution(_Sliding):
    """deconv_layer.cpp: the gradient of a convolution as a layer of its own."""

    def _sides(self, sides: Pair) -> Pair:
        found = [
            stride * (side - 1) + extent - 2 * pad
            for side, pad, extent, stride in zip(
                sides, self._pad, self._extent(), self._stride, strict=True
            )
        ]
        return found[0], found[1]

    def _weight_shape(self, channels: int) -> Shape:
        given = self.param.convolution_param
        return (channels, given.num_output // given.group, *self._kernel)

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        group = self.param.convolution_param.group
        return F.conv_transpose2d(
            bottom, weight, bias, self._stride, self._pad, 0, group, self._dilation
        )
