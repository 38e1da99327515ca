"""Shape inference as Caffe's Reshape and LayerSetUp have it; imports neither torch nor numpy.

rules.py      Shape, Shapes, the registry of layer types, `infer`
windows.py    Convolution, Deconvolution, Pooling, LRN
learned.py    InnerProduct, BatchNorm, Scale, Bias, PReLU
values.py     layers that map each value, sum blobs, or normalize
moves.py      Concat, Slice, Reshape and their like
losses.py     losses and scores
sources.py    layers without bottoms
walk.py       whole nets: parameter_shapes, blob_shapes
"""

from caffe_transfer.nets.shapes import learned, losses, moves, sources, values, windows
from caffe_transfer.nets.shapes.rules import Shape, Shapes, infer, is_loss, known_types, refuse
from caffe_transfer.nets.shapes.walk import BlobShapes, blob_shapes, parameter_shapes

__all__ = [
    "BlobShapes", "Shape", "Shapes", "blob_shapes", "infer", "is_loss", "known_types", "learned",
    "losses", "moves", "parameter_shapes", "refuse", "sources", "values", "windows",
]  # fmt: skip
