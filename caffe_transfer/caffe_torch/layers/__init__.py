"""The layers by the name of their type."""

from caffe_transfer.caffe_torch.layers.activations import (
    BNLL,
    ELU,
    AbsVal,
    Dropout,
    Exp,
    Log,
    Power,
    PReLU,
    ReLU,
    Sigmoid,
    TanH,
    Threshold,
)
from caffe_transfer.caffe_torch.layers.arithmetic import Eltwise, Reduction
from caffe_transfer.caffe_torch.layers.base import Layer, Shape
from caffe_transfer.caffe_torch.layers.convolution import Convolution, Deconvolution
from caffe_transfer.caffe_torch.layers.data import Data, ImageData
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
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

__all__ = ["Layer", "Shape", "known_types", "make_layer"]

_LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        AbsVal,
        Accuracy,
        ArgMax,
        BNLL,
        BatchNorm,
        Bias,
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
        EuclideanLoss,
        Exp,
        Flatten,
        HDF5Data,
        HingeLoss,
        ImageData,
        InfogainLoss,
        InnerProduct,
        Input,
        LRN,
        Log,
        MVN,
        MemoryData,
        MultinomialLogisticLoss,
        PReLU,
        Pooling,
        Power,
        ReLU,
        Reduction,
        Reshape,
        Scale,
        Sigmoid,
        SigmoidCrossEntropyLoss,
        Silence,
        Slice,
        Softmax,
        SoftmaxWithLoss,
        Split,
        TanH,
        Threshold,
        Tile,
    )
}


def known_types() -> list[str]:
    """The names of all layer types."""
    return sorted(_LAYERS)


def make_layer(param: pb.LayerParameter, phase: int, rng: Rng) -> Layer:
    """A layer of the type that its settings name.

    Raises:
        BadInput: the type is unknown, or the number of bottoms or tops does not fit it.
    """
    if param.type not in _LAYERS:
        raise BadInput(
            f"layer {param.name!r} has the unknown type {param.type!r}; "
            f"the types are {', '.join(known_types())}"
        )
    kind = _LAYERS[param.type]
    for name, found, (least, most) in (
        ("bottoms", len(param.bottom), kind.bottom_count),
        ("tops", len(param.top), kind.top_count),
    ):
        if name == "tops" and not found and kind.is_loss:
            continue  # nets of 2014 do not name what their losses make
        if found < least or (most is not None and found > most):
            wanted = f"{least}" if least == most else f"{least} to {most or 'any number'}"
            raise BadInput(
                f"layer {param.name!r} ({param.type}) has {found} {name}; it takes {wanted}"
            )
    return kind(param, phase, rng)
