"""Layers that move values and change none."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.nets.shapes import Shape, moves


class Concat(Layer):
    """concat_layer.cpp: bottoms joined along an axis."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._axis = moves.concat_axis(self.param, bottoms[0])

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [torch.cat(list(bottoms), self._axis)]


class Slice(Layer):
    """slice_layer.cpp: the bottom, cut along an axis into even parts or at slice_point."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._axis = moves.slice_axis(self.param, bottoms[0])
        self._lengths = [top[self._axis] for top in tops]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return list(bottoms[0].split(self._lengths, self._axis))  # type: ignore[no-untyped-call]


class Split(Layer):
    """split_layer.cpp: copies of the bottom."""

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0]] * len(self.param.top)


class _Viewed(Layer):
    """The bottom's values in another shape."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._shape = tops[0]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0].reshape(self._shape)]


class Flatten(_Viewed):
    """flatten_layer.cpp."""


class Reshape(_Viewed):
    """reshape_layer.cpp."""


class Crop(Layer):
    """crop_layer.cpp: a part of the first bottom, as large as the second from an axis on."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        start, offsets = moves.crop_offsets(self.param, bottoms[0])
        sizes = tops[0][start:]
        self._part = (slice(None),) * start + tuple(
            slice(offset, offset + size) for offset, size in zip(offsets, sizes, strict=True)
        )

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0][self._part]]


class Tile(Layer):
    """tile_layer.cpp: copies of the bottom along an axis."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._repeats = [1] * len(bottoms[0])
        self._repeats[self.param.tile_param.axis] = self.param.tile_param.tiles

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0].repeat(self._repeats)]


class Silence(Layer):
    """silence_layer.cpp: reads blobs, so that they are no outputs of the net."""

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return []
