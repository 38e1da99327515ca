"""Layers that choose the items of a batch."""

from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, refuse, rule


@rule("Filter", bottoms=(2, None), tops=(1, None))
def _filter(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """filter_layer.cpp: as if all items were chosen; how many are, each batch tells."""
    *items, selector = bottoms
    if len(layer.top) != len(items):
        raise refuse(layer, "needs a top for each bottom but the last, which chooses")
    if not selector or any(length != 1 for length in selector[1:]):
        raise refuse(layer, f"needs one number for each item to choose by, not {selector}")
    for shape in items:
        if shape[:1] != selector[:1]:
            raise refuse(layer, f"chooses among {selector[0]} items, but has a bottom {shape}")
    return Shapes(tuple(items))


@rule("BatchReindex", bottoms=(2, 2))
def _batch_reindex(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """batch_reindex_layer.cpp: an item of the first bottom for each index of the second."""
    items, indices = bottoms
    if len(indices) != 1:
        raise refuse(layer, f"needs indices of one axis, not the shape {indices}")
    if not items:
        raise refuse(layer, "needs a batch of items, not a scalar")
    return Shapes(((*indices, *items[1:]),))
