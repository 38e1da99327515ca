"""A stand-in for pycaffe's `caffe`: what the modules of Python layers import and are called with.

It has Layer, TRAIN and TEST.  Blobs have float32 arrays, as in pycaffe (_caffe.cpp).
"""

import math
import sys
from types import ModuleType

import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.proto import caffe_pb2 as pb

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]


class Blob:
    """Values and their gradient, which a layer fills in place: `top[0].data[...] = x`."""

    def __init__(self, shape: Shape = ()) -> None:
        self._data: Array = np.zeros(shape, np.float32)
        self._diff: Array = np.zeros(shape, np.float32)

    @property
    def data(self) -> Array:
        """The values."""
        return self._data

    @property
    def diff(self) -> Array:
        """The gradient."""
        return self._diff

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        return self._data.shape

    @property
    def count(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def num(self) -> int:
        """The length of the first of four axes."""
        return self._legacy(0)

    @property
    def channels(self) -> int:
        """The length of the second of four axes."""
        return self._legacy(1)

    @property
    def height(self) -> int:
        """The length of the third of four axes."""
        return self._legacy(2)

    @property
    def width(self) -> int:
        """The length of the last of four axes."""
        return self._legacy(3)

    def reshape(self, *shape: int) -> None:
        """Give the blob a shape; another one than before begins with zeros."""
        if shape != self.shape:
            self.take(np.zeros(shape, np.float32))

    def take(self, data: Array) -> None:
        """Make an array the values, which no layer calls; the gradient keeps its values."""
        self._data = data
        if self._diff.shape != data.shape:
            self._diff = np.zeros(data.shape, np.float32)

    def _legacy(self, axis: int) -> int:
        return self.shape[axis] if axis < len(self.shape) else 1


class Blobs(list[Blob]):
    """The parameters of a layer."""

    def add_blob(self, *shape: int) -> None:
        """Append a parameter of zeros."""
        self.append(Blob(shape))


class Layer:
    """The base of Python layers: setup, reshape, forward and backward are theirs to define.

    Attributes:
        param_str: of the layer's python_param.
        phase: TRAIN or TEST.
        blobs: its parameters, which setup may add.
    """

    type = "Python"

    def __init__(self, param: pb.LayerParameter) -> None:
        self.param_str = ""
        self.phase = int(pb.TEST)
        self.blobs = Blobs()


def provide() -> None:
    """Make `import caffe` find the stand-in in this process, also where pycaffe is installed.

    Pycaffe's own Layer can be made by Caffe's nets only.
    """
    module = ModuleType("caffe", __doc__)
    vars(module).update(Layer=Layer, TRAIN=int(pb.TRAIN), TEST=int(pb.TEST), __getattr__=_missing)
    sys.modules["caffe"] = module


def _missing(name: str) -> object:
    raise AttributeError(f"caffe-torch has caffe.Layer, caffe.TRAIN and caffe.TEST, not {name!r}")
