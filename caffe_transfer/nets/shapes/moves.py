"""Layers that move values and change none."""

import itertools
import math
from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, canonical_axis, refuse, rule


@rule("Concat", bottoms=(1, None))
def _concat(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """concat_layer.cpp."""
    first, axis = bottoms[0], concat_axis(layer, bottoms[0])
    before, after = first[:axis], first[axis + 1 :]
    for other in bottoms[1:]:
        same = other[:axis] == before and other[axis + 1 :] == after
        if not same or len(other) != len(first):
            raise refuse(layer, f"cannot join {other} to {first} along axis {axis}")
    return Shapes(((*before, sum(shape[axis] for shape in bottoms), *after),))


def concat_axis(layer: pb.LayerParameter, shape: Shape) -> int:
    """The axis along which Concat joins blobs of this shape.

    Raises:
        BadInput: it is given twice, or there is no such axis.
    """
    given = layer.concat_param
    if given.HasField("axis") and given.HasField("concat_dim"):
        raise refuse(layer, "needs either axis or concat_dim, not both")
    axis = given.concat_dim if given.HasField("concat_dim") else given.axis
    return canonical_axis(layer, axis, shape)


@rule("Slice", tops=(1, None))
def _slice(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """slice_layer.cpp: even parts, or parts that begin at slice_point."""
    shape, axis = bottoms[0], slice_axis(layer, bottoms[0])
    lengths = _slice_lengths(layer, shape[axis])
    return Shapes(tuple((*shape[:axis], length, *shape[axis + 1 :]) for length in lengths))


def slice_axis(layer: pb.LayerParameter, shape: Shape) -> int:
    """The axis along which Slice cuts a blob of this shape.

    Raises:
        BadInput: it is given twice, or there is no such axis.
    """
    given = layer.slice_param
    if given.HasField("axis") and given.HasField("slice_dim"):
        raise refuse(layer, "needs either axis or slice_dim, not both")
    axis = given.slice_dim if given.HasField("slice_dim") else given.axis
    return canonical_axis(layer, axis, shape)


def _slice_lengths(layer: pb.LayerParameter, length: int) -> list[int]:
    number, points = len(layer.top), list(layer.slice_param.slice_point)
    if not points:
        if length % number:
            raise refuse(layer, f"cannot cut {length} into {number} even parts")
        return [length // number] * number
    if len(points) != number - 1:
        raise refuse(layer, f"has {len(points)} slice points for {number} tops")
    lengths = [end - start for start, end in itertools.pairwise([0, *points, length])]
    if min(lengths) < 1:
        raise refuse(layer, f"has slice points {points}; they must rise from 1 to below {length}")
    return lengths


@rule("Split", tops=(1, None))
def _split(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """split_layer.cpp."""
    return Shapes((bottoms[0],) * len(layer.top))


@rule("Silence", bottoms=(1, None), tops=(0, 0))
def _silence(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """silence_layer.cpp."""
    return Shapes(())


@rule("Flatten")
def _flatten(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """flatten_layer.cpp: the axes from `axis` to `end_axis` become one."""
    given, shape = layer.flatten_param, bottoms[0]
    start = canonical_axis(layer, given.axis, shape)
    end = canonical_axis(layer, given.end_axis, shape) + 1
    if end < start:
        raise refuse(layer, f"has axis {given.axis} behind end_axis {given.end_axis}")
    return Shapes(((*shape[:start], math.prod(shape[start:end]), *shape[end:]),))


@rule("Reshape")
def _reshape(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """reshape_layer.cpp: 0 keeps an axis, -1 takes what is left.

    Only num_axes axes from `axis` on are replaced; num_axes -1 stands for all of them.
    """
    given, shape = layer.reshape_param, bottoms[0]
    start = given.axis if given.axis >= 0 else len(shape) + given.axis + 1
    end = len(shape) if given.num_axes == -1 else start + given.num_axes
    if not 0 <= start <= end <= len(shape):
        raise refuse(
            layer,
            f"has axis {given.axis} and num_axes {given.num_axes}, but its bottom has the "
            f"shape {shape}",
        )
    new = _kept(layer, list(given.shape.dim), shape[start:])
    found = [*shape[:start], *new, *shape[end:]]
    if -1 in new:
        others = -math.prod(found)
        found[start + new.index(-1)] = math.prod(shape) // others if others > 0 else 0
    if math.prod(found) != math.prod(shape) or min(new, default=0) < -1:
        raise refuse(layer, f"cannot give {shape} the shape {(*shape[:start], *new, *shape[end:])}")
    return Shapes((tuple(found),))


def _kept(layer: pb.LayerParameter, new: list[int], old: Shape) -> list[int]:
    """The new axes, zeros replaced by the old lengths."""
    if any(not length and index >= len(old) for index, length in enumerate(new)):
        raise refuse(layer, "has a 0 in its shape where its bottom has no axis to keep")
    if new.count(-1) > 1:
        raise refuse(layer, "has more than one -1 in its shape")
    return [length or old[index] for index, length in enumerate(new)]


@rule("Crop", bottoms=(2, 2))
def _crop(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """crop_layer.cpp: a part of the first bottom, as large as the second from `axis` on."""
    shape, size = bottoms
    start, offsets = crop_offsets(layer, shape)
    if len(size) < len(shape):
        raise refuse(layer, f"cannot crop the shape {shape} to {size}")
    for axis, offset in enumerate(offsets, start):
        if offset + size[axis] > shape[axis]:
            raise refuse(
                layer, f"cannot crop {size[axis]} after {offset} from axis {axis} of {shape}"
            )
    return Shapes(((*shape[:start], *size[start : len(shape)]),))


def crop_offsets(layer: pb.LayerParameter, shape: Shape) -> tuple[int, list[int]]:
    """The first axis that Crop cuts, and where the part begins on it and each later axis.

    Raises:
        BadInput: there is no such axis, or the number of offsets does not fit.
    """
    start = canonical_axis(layer, layer.crop_param.axis, shape)
    offsets = list(layer.crop_param.offset) or [0]
    if len(offsets) == 1:
        offsets *= len(shape) - start
    if len(offsets) != len(shape) - start:
        raise refuse(
            layer, f"has {len(offsets)} offsets for {len(shape) - start} axes from axis {start}"
        )
    return start, offsets


@rule("Tile")
def _tile(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """tile_layer.cpp: copies along an axis."""
    given, shape = layer.tile_param, bottoms[0]
    axis = canonical_axis(layer, given.axis, shape)
    if given.tiles < 1:
        raise refuse(layer, f"has {given.tiles} tiles; it needs one or more")
    return Shapes(((*shape[:axis], given.tiles * shape[axis], *shape[axis + 1 :]),))
