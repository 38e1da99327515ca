"""Layers that move values and change none."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis


class Concat(Layer):
    """concat_layer.cpp: bottoms one after the other along an axis."""

    bottom_count = (1, None)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.concat_param
        if given.HasField("axis") and given.HasField("concat_dim"):
            raise self.refuse("needs either axis or concat_dim, not both")
        axis = given.concat_dim if given.HasField("concat_dim") else given.axis
        self._axis = canonical_axis(self, axis, bottoms[0])
        first, before, after = bottoms[0], self._axis, self._axis + 1
        for other in bottoms[1:]:
            same = other[:before] == first[:before] and other[after:] == first[after:]
            if not same or len(other) != len(first):
                raise self.refuse(f"cannot join {other} to {first} along axis {self._axis}")
        length = sum(shape[self._axis] for shape in bottoms)
        return [(*first[:before], length, *first[after:])]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [torch.cat(list(bottoms), self._axis)]


class Slice(Layer):
    """slice_layer.cpp: the bottom, cut along an axis into even parts or at slice_point."""

    top_count = (1, None)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given, shape = self.param.slice_param, bottoms[0]
        if given.HasField("axis") and given.HasField("slice_dim"):
            raise self.refuse("needs either axis or slice_dim, not both")
        axis = given.slice_dim if given.HasField("slice_dim") else given.axis
        self._axis = canonical_axis(self, axis, shape)
        self._lengths = self._cut(shape[self._axis], list(given.slice_point))
        before, after = shape[: self._axis], shape[self._axis + 1 :]
        return [(*before, length, *after) for length in self._lengths]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return list(bottoms[0].split(self._lengths, self._axis))  # type: ignore[no-untyped-call]

    def _cut(self, length: int, points: list[int]) -> list[int]:
        """The lengths of the parts."""
        number = len(self.param.top)
        if not points:
            if length % number:
                raise self.refuse(f"cannot cut {length} into {number} even parts")
            return [length // number] * number
        if len(points) != number - 1:
            raise self.refuse(f"has {len(points)} slice points for {number} tops")
        ends = [0, *points, length]
        lengths = [end - start for start, end in itertools.pairwise(ends)]
        if min(lengths) < 1:
            raise self.refuse(f"has slice points {points}; they must rise from 1 to below {length}")
        return lengths


class Split(Layer):
    """split_layer.cpp: the bottom, several times."""

    top_count = (1, None)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        return [bottoms[0]] * len(self.param.top)

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0]] * len(self.param.top)


class Flatten(Layer):
    """flatten_layer.cpp: the axes from `axis` to `end_axis` as one."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given, shape = self.param.flatten_param, bottoms[0]
        start = canonical_axis(self, given.axis, shape)
        end = canonical_axis(self, given.end_axis, shape) + 1
        if end < start:
            raise self.refuse(f"has axis {given.axis} behind end_axis {given.end_axis}")
        self._shape = (*shape[:start], math.prod(shape[start:end]), *shape[end:])
        return [self._shape]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0].reshape(self._shape)]


class Reshape(Layer):
    """reshape_layer.cpp: the values in another shape; 0 keeps an axis, -1 takes what is left.

    Only num_axes axes from `axis` on are replaced; -1 stands for all of them.
    """

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given, shape = self.param.reshape_param, bottoms[0]
        start = given.axis if given.axis >= 0 else len(shape) + given.axis + 1
        end = len(shape) if given.num_axes == -1 else start + given.num_axes
        if not 0 <= start <= end <= len(shape):
            raise self.refuse(
                f"has axis {given.axis} and num_axes {given.num_axes}, but its bottom has the "
                f"shape {shape}"
            )
        new = self._kept(list(given.shape.dim), shape[start:])
        found = [*shape[:start], *new, *shape[end:]]
        if -1 in new:
            others = -math.prod(found)
            found[start + new.index(-1)] = math.prod(shape) // others if others > 0 else 0
        if math.prod(found) != math.prod(shape) or min(new, default=0) < -1:
            raise self.refuse(
                f"cannot give {shape} the shape {(*shape[:start], *new, *shape[end:])}"
            )
        self._shape = tuple(found)
        return [self._shape]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0].reshape(self._shape)]

    def _kept(self, new: list[int], old: Shape) -> list[int]:
        """The new axes, with those that are kept."""
        if any(not length and index >= len(old) for index, length in enumerate(new)):
            raise self.refuse("has a 0 in its shape where its bottom has no axis to keep")
        if new.count(-1) > 1:
            raise self.refuse("has more than one -1 in its shape")
        return [length or old[index] for index, length in enumerate(new)]


class Crop(Layer):
    """crop_layer.cpp: a part of the first bottom, as large as the second from an axis on."""

    bottom_count = (2, 2)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        shape, size = bottoms
        given = self.param.crop_param
        start = canonical_axis(self, given.axis, shape)
        offsets = list(given.offset) or [0]
        if len(offsets) == 1:
            offsets *= len(shape) - start
        if len(offsets) != len(shape) - start:
            raise self.refuse(
                f"has {len(offsets)} offsets for {len(shape) - start} axes from axis {start}"
            )
        if len(size) < len(shape):
            raise self.refuse(f"cannot crop the shape {shape} to {size}")
        self._parts = [slice(None)] * start
        for axis, offset in enumerate(offsets, start):
            if offset + size[axis] > shape[axis]:
                raise self.refuse(
                    f"cannot crop {size[axis]} after {offset} from axis {axis} of {shape}"
                )
            self._parts.append(slice(offset, offset + size[axis]))
        return [(*shape[:start], *size[start : len(shape)])]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0][tuple(self._parts)]]


class Tile(Layer):
    """tile_layer.cpp: the bottom several times along an axis."""

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given, shape = self.param.tile_param, bottoms[0]
        axis = canonical_axis(self, given.axis, shape)
        if given.tiles < 1:
            raise self.refuse(f"has {given.tiles} tiles; it needs one or more")
        self._times = [given.tiles if index == axis else 1 for index in range(len(shape))]
        return [tuple(a * b for a, b in zip(shape, self._times, strict=True))]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [bottoms[0].repeat(self._times)]


class Silence(Layer):
    """silence_layer.cpp: reads blobs, so that they are no outputs of the net."""

    bottom_count = (1, None)
    top_count = (0, 0)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        return []

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return []
