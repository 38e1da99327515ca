"""Scale and Bias: a factor or a summand that is learned, or is a second bottom."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis
from caffe_transfer.formats.proto import caffe_pb2 as pb


class _Spread(Layer):
    """What both have in common: a small blob that fits some axes of the bottom."""

    bottom_count = (1, 2)

    def _place(self, bottoms: Sequence[Shape], axis: int, num_axes: int) -> Shape:
        """The small blob's shape, with which `_spread` will be ready for it.

        Raises:
            BadInput: the shape does not fit the bottom.
        """
        shape = bottoms[0]
        given = bottoms[1] if len(bottoms) > 1 else None
        if given is not None:
            num_axes = len(given)
        start = canonical_axis(self, axis, shape) if num_axes else 0
        if num_axes < -1 or start + num_axes > len(shape):
            raise self.refuse(
                f"has {num_axes} axes from axis {start}, but its bottom has the shape {shape}"
            )
        found = shape[start:] if num_axes == -1 else shape[start : start + num_axes]
        if given is not None and given != found:
            raise self.refuse(
                f"has bottoms of the shapes {shape} and {given}; the second must be {found}, as "
                f"the first is from axis {start}"
            )
        self._view = (*found, *(1,) * (len(shape) - start - len(found)))
        return found

    def _spread(self, small: Tensor) -> Tensor:
        """The small blob, so that it fits the bottom."""
        return small.float().reshape(self._view)


class Scale(_Spread):
    """scale_layer.cpp: scale x, and with bias_term scale x + bias."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.scale_param
        shape = self._place(bottoms, given.axis, given.num_axes)
        one = pb.FillerParameter(type="constant", value=1)
        if len(bottoms) == 1:
            self.add_blob(shape, given.filler if given.HasField("filler") else one)
        if given.bias_term:
            self.add_blob(shape, given.bias_filler)
        return [bottoms[0]]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        x = bottoms[0].float()
        scale = self._spread(bottoms[1] if len(bottoms) > 1 else self.blobs[0])
        if not self.param.scale_param.bias_term:
            return [x * scale]
        return [torch.addcmul(self._spread(self.blobs[-1]), x, scale)]


class Bias(_Spread):
    """bias_layer.cpp: x + bias."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.bias_param
        shape = self._place(bottoms, given.axis, given.num_axes)
        if len(bottoms) == 1:
            self.add_blob(shape, given.filler)
        return [bottoms[0]]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        bias = bottoms[1] if len(bottoms) > 1 else self.blobs[0]
        return [bottoms[0].float() + self._spread(bias)]
