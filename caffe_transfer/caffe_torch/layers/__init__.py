"""Layer types by name."""

from caffe_transfer.caffe_torch.layers.activations import (
    BNLL,
    ELU,
    AbsVal,
    Clip,
    Dropout,
    Exp,
    Log,
    Power,
    PReLU,
    ReLU,
    Sigmoid,
    Swish,
    TanH,
    Threshold,
)
from caffe_transfer.caffe_torch.layers.arithmetic import Eltwise, Reduction
from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.batches import BatchReindex, Filter
from caffe_transfer.caffe_torch.layers.convolution import Convolution, Deconvolution, Im2col
from caffe_transfer.caffe_torch.layers.data import Data, ImageData
from caffe_transfer.caffe_torch.layers.embed import Embed, Parameter
from caffe_transfer.caffe_torch.layers.hdf5_output import HDF5Output
from caffe_transfer.caffe_torch.layers.infogain import InfogainLoss, MultinomialLogisticLoss
from caffe_transfer.caffe_torch.layers.inner_product import InnerProduct
from caffe_transfer.caffe_torch.layers.inputs import DummyData, HDF5Data, Input, MemoryData
from caffe_transfer.caffe_torch.layers.losses import (
    ContrastiveLoss,
    EuclideanLoss,
    HingeLoss,
    SigmoidCrossEntropyLoss,
)
from caffe_transfer.caffe_torch.layers.lrn import LRN
from caffe_transfer.caffe_torch.layers.normalization import MVN, BatchNorm
from caffe_transfer.caffe_torch.layers.pooling import Pooling
from caffe_transfer.caffe_torch.layers.pyramid import SPP
from caffe_transfer.caffe_torch.layers.python import Python
from caffe_transfer.caffe_torch.layers.recurrent import LSTM, RNN, LSTMUnit
from caffe_transfer.caffe_torch.layers.scaling import Bias, Scale
from caffe_transfer.caffe_torch.layers.scores import Accuracy, ArgMax
from caffe_transfer.caffe_torch.layers.shaping import (
    Concat,
    Crop,
    Flatten,
    Reshape,
    Silence,
    Slice,
    Split,
    Tile,
)
from caffe_transfer.caffe_torch.layers.softmax import Softmax, SoftmaxWithLoss
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import unknown_type

__all__ = ["Layer", "known_types", "make_layer"]

_LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        AbsVal,
        Accuracy,
        ArgMax,
        BNLL,
        BatchNorm,
        BatchReindex,
        Bias,
        Clip,
        Concat,
        ContrastiveLoss,
        Convolution,
        Crop,
        Data,
        Deconvolution,
        Dropout,
        DummyData,
        ELU,
        Eltwise,
        Embed,
        EuclideanLoss,
        Exp,
        Filter,
        Flatten,
        HDF5Data,
        HDF5Output,
        HingeLoss,
        Im2col,
        ImageData,
        InfogainLoss,
        InnerProduct,
        Input,
        LRN,
        LSTM,
        LSTMUnit,
        Log,
        MVN,
        MemoryData,
        MultinomialLogisticLoss,
        PReLU,
        Parameter,
        Pooling,
        Power,
        Python,
        RNN,
        ReLU,
        Reduction,
        Reshape,
        SPP,
        Scale,
        Sigmoid,
        SigmoidCrossEntropyLoss,
        Silence,
        Slice,
        Softmax,
        SoftmaxWithLoss,
        Split,
        Swish,
        TanH,
        Threshold,
        Tile,
    )
}


def known_types() -> list[str]:
    """The names of all layer types, sorted."""
    return sorted(_LAYERS)


def make_layer(param: pb.LayerParameter, phase: int, rng: Rng) -> Layer:
    """A layer of the type that its settings name.

    Raises:
        BadInput: the type is unknown.
    """
    if param.type not in _LAYERS:
        raise unknown_type(param)
    return _LAYERS[param.type](param, phase, rng)
