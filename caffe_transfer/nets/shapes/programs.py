"""Layers that a net exchanges blobs with programs by."""

import math
from collections.abc import Sequence

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, refuse, rule


@rule("HDF5Output", bottoms=(2, 2), tops=(0, 0))
def _hdf5_output(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """hdf5_output_layer.cpp: writes data and labels, as blobs of four axes."""
    data, labels = (four_axes(layer, shape) for shape in bottoms)
    if data[0] != labels[0]:
        raise refuse(
            layer, f"needs as many labels as data, not the shapes {bottoms[0]} and {bottoms[1]}"
        )
    return Shapes(())


def four_axes(layer: pb.LayerParameter, shape: Shape) -> Shape:
    """A shape as blobs had it of old, with ones for the axes that it has not.

    Raises:
        BadInput: it has more than four, or no items.
    """
    if len(shape) > 4 or not math.prod(shape):
        raise refuse(layer, f"takes blobs of up to 4 axes, not of the shape {shape}")
    return (*shape, *(1,) * (4 - len(shape)))


@rule("Python", bottoms=(0, None), tops=(0, None))
def _python(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """python_layer.hpp: a program of the user's tells the shapes; caffe-torch asks it."""
    raise refuse(layer, "runs Python code, without which its shapes are unknown")
