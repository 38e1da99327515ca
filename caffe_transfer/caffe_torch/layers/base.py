"""What every layer is."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from caffe_transfer.caffe_torch import fillers
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

Shape = tuple[int, ...]


class Layer:
    """A layer: made from its settings, set up with its bottoms' shapes, then run forward.

    Gradients are those of autograd; a layer whose gradient Caffe defines otherwise says so in a
    torch.autograd.Function.  Layers write into their bottoms only with `in_place`.

    Attributes:
        param: the settings, format V2.
        phase: caffe_pb2.TRAIN or TEST.
        rng: the process's random numbers, drawn as Caffe draws them.
        in_place: its bottom is read by nobody else, not even for gradients, so that the layer may
            write its top into it.
        device: where its tops are to be; the net decides it before set_up.
        blobs: the parameters, float32, with Caffe's shapes, in Caffe's order.
    """

    bottom_count: ClassVar[tuple[int, int | None]] = (1, 1)  # at least, at most (None: any)
    top_count: ClassVar[tuple[int, int | None]] = (1, 1)
    is_loss: ClassVar[bool] = False  # its first top has loss weight 1 unless the net says other
    statistics: ClassVar[bool] = False  # its blobs are no weights: they never learn

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        self.param = param
        self.phase = phase
        self.rng = rng
        self.in_place = False
        self.device = torch.device("cpu")
        self.blobs: list[Tensor] = []

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        """Make the parameters; the shapes of the tops.

        Raises:
            BadInput: a setting or a shape does not fit; names the layer.
        """
        raise NotImplementedError

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        """The tops for these bottoms."""
        raise NotImplementedError

    def close(self) -> None:
        """End what the layer does in the background; layers without such work do nothing."""

    def add_blob(self, shape: Shape, filler: pb.FillerParameter | None = None) -> None:
        """A parameter, drawn by a filler (zeros without one)."""
        blob = torch.zeros(shape)
        if filler is not None:
            blob = torch.from_numpy(fillers.fill(filler, shape, self.rng, self.param.name))
        self.blobs.append(blob)

    def refuse(self, reason: str) -> BadInput:
        """The error that this layer cannot be as asked."""
        return BadInput(f"layer {self.param.name!r} ({self.param.type}) {reason}")


def canonical_axis(layer: Layer, axis: int, shape: Shape) -> int:
    """A blob axis that may count from the end, as a number from 0.

    Raises:
        BadInput: there is no such axis.
    """
    if not -len(shape) <= axis < len(shape):
        raise layer.refuse(f"has axis {axis}, but its bottom has the shape {shape}")
    return axis % len(shape)


def to_channels_last(tensor: Tensor) -> Tensor:
    """Images in channels_last, in which convolutions run fastest; other blobs as they are."""
    if tensor.dim() != 4:
        return tensor
    tensor = tensor.contiguous(memory_format=torch.channels_last)
    if tensor.shape[1] == 1:  # lies the same way in both orders: the strides must say which it is
        _, _, height, width = tensor.shape
        return tensor.as_strided(tensor.shape, (height * width, 1, width, 1))
    return tensor
