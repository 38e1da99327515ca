"""The base class of layers."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from caffe_transfer.caffe_torch import fillers
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays
from caffe_transfer.nets import shapes
from caffe_transfer.nets.shapes import Shape


class Layer:
    """A layer: constructed from its settings, set up with its bottoms' shapes, then run forward.

    Gradients are those of autograd; a layer whose gradient Caffe defines otherwise says so in a
    torch.autograd.Function.  Layers write into their bottoms only with `in_place`.

    Attributes:
        param: the settings, format V2.
        phase: caffe_pb2.TRAIN or TEST.
        rng: the process's generator, drawn from in Caffe's order.
        in_place: nothing else reads its bottom, not even a gradient, so that the layer may
            overwrite it with its top.
        device: of its tops; set by the net before set_up.
        blobs: the parameters, float32, with Caffe's shapes, in Caffe's order.
    """

    statistics: ClassVar[bool] = False  # its blobs are running statistics and never learn
    # On a GPU, all it does is work of fixed shapes there, which a CUDA graph can repeat.
    capturable: ClassVar[bool] = True

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        self.param = param
        self.phase = phase
        self.rng = rng
        self.in_place = False
        self.device = torch.device("cpu")
        self.blobs: list[Tensor] = []
        self._bottoms: list[Shape] = []

    @property
    def is_loss(self) -> bool:
        """Whether its first top has loss weight 1 unless the net sets another."""
        return shapes.is_loss(self.param)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        """Check the settings, make the parameters and return the shapes of the tops.

        Raises:
            BadInput: a setting or a shape does not fit; names the layer.
        """
        found = shapes.infer(self.param, bottoms)
        self.prepare(bottoms, found.tops)
        fillers = self.parameter_fillers()
        for index, shape in enumerate(found.parameters):
            self.add_blob(shape, fillers[index] if fillers else None)
        self._bottoms = list(bottoms)
        return list(found.tops)

    def run(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        """The tops for these bottoms, whose shapes may be others than before, as after Filter.

        Raises:
            BadInput: a shape does not fit, or the parameters would need another one.
        """
        found: list[Shape] = [bottom.shape for bottom in bottoms]
        if found != self._bottoms:
            self.reshape([tuple(shape) for shape in found])
        return self.forward(bottoms)

    def reshape(self, bottoms: Sequence[Shape]) -> None:
        """Get ready for bottoms of other shapes (Layer::Reshape).

        Raises:
            BadInput: a shape does not fit, or the parameters would need another one.
        """
        found = shapes.infer(self.param, bottoms)
        own = tuple(tuple(blob.shape) for blob in self.blobs)
        if found.parameters != own:
            raise self.refuse(
                f"has parameters for bottoms of the shapes {_listed(self._bottoms)}, and got "
                f"{_listed(bottoms)}, for which they do not fit; give it batches of one shape"
            )
        self.prepare(bottoms, found.tops)
        self._bottoms = list(bottoms)

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        """Check the settings that no shape depends on, and set what `forward` needs.

        Called at set-up, and again whenever the shape of a bottom changes.

        Raises:
            BadInput: a setting does not fit; names the layer.
        """

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        """Fillers by parameter, perhaps of a bias that is switched off; none: zeros."""
        return []

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        """The tops for these bottoms."""
        raise NotImplementedError

    def state(self) -> Arrays:
        """What training changes in the layer besides its parameters, for `restore`.

        The arrays stay as they are, whatever the layer does then.
        """
        return {}

    def restore(self, state: Arrays) -> None:
        """Go on with a state that `state` gave, perhaps in another process.

        Raises:
            KeyError, ValueError, RuntimeError: it is of another layer.
        """

    @property
    def lacking(self) -> str:
        """What `state` leaves out, in words; empty if nothing."""
        return ""

    def close(self) -> None:
        """Stop background threads, if the layer has any."""

    def add_blob(self, shape: Shape, filler: pb.FillerParameter | None = None) -> None:
        """Append a parameter drawn by a filler; zeros without one."""
        blob = torch.zeros(shape)
        if filler is not None:
            blob = torch.from_numpy(fillers.fill(filler, shape, self.rng, self.param.name))
        self.blobs.append(blob)

    def refuse(self, reason: str) -> BadInput:
        """The error for a layer whose settings or bottoms do not fit."""
        return shapes.refuse(self.param, reason)


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(str, shapes))


def to_channels_last(tensor: Tensor) -> Tensor:
    """Images in channels_last, the fastest format for convolutions; other blobs unchanged."""
    if tensor.dim() != 4:
        return tensor
    tensor = tensor.contiguous(memory_format=torch.channels_last)
    if tensor.shape[1] == 1:  # same memory in both formats: only the strides tell which it is
        _, _, height, width = tensor.shape
        return tensor.as_strided(tensor.shape, (height * width, 1, width, 1))
    return tensor
