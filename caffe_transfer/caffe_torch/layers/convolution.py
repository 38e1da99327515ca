"""Convolution and Deconvolution of images (base_conv_layer.cpp)."""

from collections.abc import Sequence

from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.convolve import convolve
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.windows import convolution_windows


class _Sliding(Layer):
    """Base of both: filters that slide over images, one top per bottom."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._windows = convolution_windows(self.param)

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.convolution_param
        return [given.weight_filler, given.bias_filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        weight = self.blobs[0]
        bias = self.blobs[1] if len(self.blobs) > 1 else None
        return [self._slide(bottom, weight, bias) for bottom in bottoms]

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError


class Convolution(_Sliding):
    """conv_layer.cpp, over two axes."""

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        windows, group = self._windows, self.param.convolution_param.group
        return convolve(
            bottom, weight, bias, windows.stride, windows.pad, windows.dilation, group
        )  # fmt: skip


class Deconvolution(_Sliding):
    """deconv_layer.cpp: the gradient of a convolution as a layer."""

    def _slide(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        windows, group = self._windows, self.param.convolution_param.group
        return convolve(
            bottom, weight, bias, windows.stride, windows.pad, windows.dilation, group,
            transposed=True,
        )  # fmt: skip
