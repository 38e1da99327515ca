"""Layers without bottoms: what they declare, or what the files that they read hold."""

from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, refuse, rule

_SETTINGS = {
    "Data": "data_param", "ImageData": "image_data_param", "HDF5Data": "hdf5_data_param",
}  # fmt: skip


@rule("Data", "ImageData", bottoms=(0, 0), tops=(1, 2), from_files=True)
@rule("HDF5Data", bottoms=(0, 0), tops=(1, None), from_files=True)
def _batches(layer: pb.LayerParameter, items: Sequence[Shape]) -> Shapes:
    """base_data_layer.cpp, hdf5_data_layer.cpp: batches of items, one for each top."""
    batch = getattr(layer, _SETTINGS[layer.type]).batch_size
    if batch < 1:
        raise refuse(layer, "has no batch_size above 0")
    return Shapes(tuple((batch, *item) for item in items))


@rule("Input", bottoms=(0, 0), tops=(1, None))
def _input(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """input_layer.cpp: one shape for all tops, or one for each."""
    given, count = layer.input_param.shape, len(layer.top)
    if len(given) not in (1, count):
        raise refuse(layer, f"has {len(given)} shapes for {count} tops")
    shapes = [tuple(shape.dim) for shape in given]
    return Shapes(tuple(shapes * count if len(shapes) == 1 else shapes))


@rule("DummyData", bottoms=(0, 0), tops=(1, None))
def _dummy_data(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """dummy_data_layer.cpp: shapes as Input's, or four axes in fields of their own, as of old."""
    given, count = layer.dummy_data_param, len(layer.top)
    axes = [given.num, given.channels, given.height, given.width]
    fields: Sequence[Sequence[object]] = axes if all(axes) else [given.shape]
    if any(len(field) not in (1, count) for field in fields):
        raise refuse(layer, "needs one shape, or one for each top")
    if all(axes):
        columns = [list(axis) * count if len(axis) == 1 else list(axis) for axis in axes]
        return Shapes(tuple(zip(*columns, strict=True)))
    shapes = [tuple(shape.dim) for shape in given.shape]
    return Shapes(tuple(shapes * count if len(shapes) == 1 else shapes))


@rule("MemoryData", bottoms=(0, 0), tops=(2, 2))
def _memory_data(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """memory_data_layer.cpp: images and labels."""
    given = layer.memory_data_param
    shape = (given.batch_size, given.channels, given.height, given.width)
    return Shapes((shape, (given.batch_size,)))
