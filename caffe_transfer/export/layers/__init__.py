"""A layer of Caffe's as a line of PyTorch, one function for each type.

base.py       Site, Code, the registry of types, `code_of`
learned.py    Convolution, InnerProduct and other layers with parameters
recurrent.py  RNN, LSTM, LSTMUnit
windows.py    Pooling, SPP, LRN, Im2col
values.py     layers that map each value, sum blobs, or normalize
moves.py      Concat, Slice, Reshape and their like
"""

from caffe_transfer.export.layers import learned, moves, recurrent, values, windows
from caffe_transfer.export.layers.base import Code, Site, code_of, known_types

__all__ = [
    "Code", "Site", "code_of", "known_types", "learned", "moves", "recurrent", "values", "windows"
]  # fmt: skip
