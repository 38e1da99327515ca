"""Shape inference as Caffe's Reshape and LayerSetUp have it; imports neither torch nor numpy.

rules.py      Shape, Shapes, the registry of layer types, `infer`
convolutions.py  Convolution, Deconvolution, Im2col
windows.py    Pooling, SPP, LRN
learned.py    InnerProduct, Embed, BatchNorm, Scale, Bias, PReLU
recurrent.py  RNN, LSTM
values.py     layers that map each value, sum blobs, or normalize
moves.py      Concat, Slice, Reshape and their like
batches.py    Filter, BatchReindex
losses.py     losses and scores
sources.py    layers without bottoms
programs.py   Python, HDF5Output: what a net exchanges with programs
walk.py       whole nets: parameter_shapes, blob_shapes
"""

from caffe_transfer.nets.shapes import (
    batches,
    convolutions,
    learned,
    losses,
    moves,
    programs,
    recurrent,
    sources,
    values,
    windows,
)
from caffe_transfer.nets.shapes.rules import (
    Shape,
    Shapes,
    infer,
    is_loss,
    known_types,
    refuse,
    unknown_type,
)
from caffe_transfer.nets.shapes.walk import (
    BlobShapes,
    blob_shapes,
    data_items,
    parameter_shapes,
)

__all__ = [
    "BlobShapes", "Shape", "Shapes", "batches", "blob_shapes", "convolutions", "data_items",
    "infer", "is_loss", "known_types", "learned", "losses", "moves", "parameter_shapes",
    "programs", "recurrent", "refuse", "sources", "unknown_type", "values", "windows",
]  # fmt: skip
