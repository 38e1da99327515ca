"""A NetParameter as layers that run in order (net.cpp)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.fusion import Step, execution_order
from caffe_transfer.caffe_torch.layers import Layer, make_layer
from caffe_transfer.caffe_torch.layers.base import to_channels_last
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats import caffemodel
from caffe_transfer.formats.caffemodel import Model
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.phases import included_in
from caffe_transfer.nets.shapes import BlobShapes

Say = Callable[[str], None]
Tops = dict[Layer, list[Tensor]]

# Their gradients do not read their tops.
_TOP_UNREAD = ("Convolution", "Deconvolution", "InnerProduct")


@dataclass
class Parameter:
    """A learnable blob, the layer that owns it, and its multipliers."""

    layer: str
    value: Tensor
    lr_mult: float
    decay_mult: float


@dataclass
class Outputs:
    """Results of a forward pass.

    Attributes:
        loss: the weighted sum of the losses, a scalar; 0 without any.
        blobs: the tops that no layer reads, sorted by name as Caffe lists them.
    """

    loss: Tensor
    blobs: dict[str, Tensor]


class Net:
    """A net of one phase.

    Attributes:
        parameters: the learnable blobs in Caffe's order; a shared one appears at its first layer.
        loss_weights: of all tops, by name.
    """

    def __init__(
        self, param: pb.NetParameter, state: pb.NetState, rng: Rng, device: torch.device
    ) -> None:
        """Set up the layers that the state includes; `param` is in format V2.

        Raises:
            BadInput: a layer does not fit its bottoms or settings; names it.
        """
        self.name = param.name
        self.device = device
        self.parameters: list[Parameter] = []
        self.loss_weights: dict[str, float] = {}
        self._steps: list[Step] = []
        self._shapes = BlobShapes()
        self._named: dict[str, Parameter] = {}
        unread: dict[str, None] = {}
        for layer in param.layer:
            if included_in(layer, state):
                self._append(layer, int(state.phase), rng, unread)
        self._outputs = sorted(unread)
        self._order = execution_order(self._steps)
        self._own_parameters()

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return [step.layer for step in self._steps]

    @property
    def batch(self) -> int:
        """Batch size: the first axis of the first blob that has one."""
        shapes = [shape for shape in self._shapes.values() if shape]
        return shapes[0][0] if shapes else 0

    def forward(
        self, each: Callable[[Layer], None] | None = None, given: Tops | None = None
    ) -> Outputs:
        """Run the layers, but for those whose tops are given.

        Args:
            each: called after each layer.
        """
        given = given or {}
        blobs: dict[str, Tensor] = {}
        loss: Tensor | None = None
        for step in self._order:
            tops = given.get(step.layer) or step.layer.forward([
                blobs[name] for name in step.bottoms
            ])  # fmt: skip
            blobs.update(zip(step.tops, tops, strict=True))
            for weight, top in zip(step.loss_weights, tops, strict=True):
                if weight:
                    part = top.sum() * weight
                    loss = part if loss is None else loss + part
            if each:
                each(step.layer)
        total = torch.zeros((), device=self.device) if loss is None else loss
        return Outputs(total, {name: blobs[name].detach() for name in self._outputs})

    def load(self, model: Model, say: Say) -> None:
        """Copy the parameters of a model's layers into the layers of the same names.

        Raises:
            BadInput: a shape differs; names the layer and both shapes.
        """
        own = {layer.param.name: layer for layer in self.layers}
        for name, source in model.with_blobs.items():
            if name not in own:
                say(f"Ignoring source layer {name}")
                continue
            blobs = own[name].blobs
            if len(blobs) != len(source.blobs):
                raise BadInput(
                    f"layer {name!r} has {len(source.blobs)} blobs in {model.path} and "
                    f"{len(blobs)} in the net; rename the layer to learn it from scratch"
                )
            for index, (blob, given) in enumerate(zip(blobs, source.blobs, strict=True)):
                if not same_shape(given.shape, tuple(blob.shape)):
                    raise BadInput(
                        f"parameter {index} of layer {name!r} has the shape {given.shape} in "
                        f"{model.path} and {tuple(blob.shape)} in the net; rename the layer to "
                        "learn it from scratch"
                    )
                take(blob, given)

    def share(self, other: "Net") -> None:
        """Share parameters with the layers of the same names in another net."""
        theirs = {layer.param.name: layer for layer in other.layers}
        for layer in self.layers:
            source = theirs.get(layer.param.name)
            if source is not None and source.blobs:
                layer.blobs = source.blobs

    def model_layers(self) -> list[caffemodel.Layer]:
        """The layers with their parameters, on the CPU, for a model file."""
        return [
            caffemodel.Layer(
                layer.param.name, layer.param.type, tuple(map(as_blob, layer.blobs))
            )
            for layer in self.layers
        ]  # fmt: skip

    def close(self) -> None:
        """Stop the background threads of layers."""
        for layer in self.layers:
            layer.close()

    def _append(
        self, param: pb.LayerParameter, phase: int, rng: Rng, unread: dict[str, None]
    ) -> None:
        layer = make_layer(param, param.phase if param.HasField("phase") else phase, rng)
        bottoms = self._shapes.read(param)
        for name in param.bottom:
            unread.pop(name, None)
        layer.device = self.device
        layer.in_place = self._may_overwrite(param)
        shapes = layer.set_up(bottoms)
        self._shapes.write(param, shapes)
        tops = list(param.top) or [f"{param.name} (automatic)" for _ in shapes]
        unread.update(dict.fromkeys(param.top))
        weights = [*param.loss_weight] or [float(layer.is_loss and not n) for n in range(len(tops))]
        weights += [0.0] * (len(tops) - len(weights))
        self.loss_weights.update(zip(tops, weights, strict=True))
        self._steps.append(Step(layer, list(param.bottom), tops, weights, list(param.param)))

    def _may_overwrite(self, param: pb.LayerParameter) -> bool:
        """Whether a layer works in place on the top of one whose gradient does not need it."""
        if not self._steps or list(param.bottom) != list(param.top):
            return False
        before = self._steps[-1]
        return before.layer.param.type in _TOP_UNREAD and before.tops == list(param.bottom)

    def _own_parameters(self) -> None:
        """Collect the learnable blobs, move them to the device, and set requires_grad."""
        owners = [[self._owner(step, index) for index in range(len(step.layer.blobs))]
                  for step in self._steps]  # fmt: skip
        for parameter in self.parameters:
            parameter.value.requires_grad_(parameter.lr_mult != 0)
        for step, own in zip(self._steps, owners, strict=True):
            shapes = [blob.shape for blob in step.layer.blobs]
            step.layer.blobs = [
                owner.value if owner.value.shape == shape else owner.value.view(shape)
                for owner, shape in zip(own, shapes, strict=True)
            ]

    def _owner(self, step: Step, index: int) -> Parameter:
        """The parameter behind a layer's blob: its own, or an earlier layer's of the same name."""
        layer, blob = step.layer, step.layer.blobs[index]
        spec = step.specs[index] if index < len(step.specs) else pb.ParamSpec()
        if spec.name in self._named:
            owner = self._named[spec.name]
            _check_shared(layer, blob, owner, spec)
            return owner
        value = blob.to(self.device)
        if not spec.name:  # shared ones may be viewed in another shape, which takes C order
            value = to_channels_last(value)
        rates = (0.0, 0.0) if layer.statistics else (spec.lr_mult, spec.decay_mult)
        owner = Parameter(layer.param.name, value, *rates)
        self.parameters.append(owner)
        if spec.name:
            self._named[spec.name] = owner
        return owner


def _check_shared(layer: Layer, blob: Tensor, owner: Parameter, spec: pb.ParamSpec) -> None:
    permissive = spec.share_mode == pb.ParamSpec.PERMISSIVE
    fits = blob.numel() == owner.value.numel() if permissive else blob.shape == owner.value.shape
    if not fits:
        raise layer.refuse(
            f"shares parameter {spec.name!r} of layer {owner.layer!r}, whose shape is "
            f"{tuple(owner.value.shape)}, not {tuple(blob.shape)}"
        )
    for key in ("lr_mult", "decay_mult"):
        if spec.HasField(key) and getattr(spec, key) != getattr(owner, key):
            raise layer.refuse(
                f"shares parameter {spec.name!r} with another {key} than layer {owner.layer!r}"
            )


def as_blob(tensor: Tensor) -> caffemodel.Blob:
    """A tensor as a blob of a file: flat, in C order, float32, on the CPU."""
    values = tensor.detach().to("cpu", torch.float32).contiguous().numpy().ravel()
    return caffemodel.Blob(tuple(tensor.shape), values)


@torch.no_grad()
def take(tensor: Tensor, blob: caffemodel.Blob) -> None:
    """Copy a blob of a file into a tensor of as many values, whatever its legacy shape."""
    values = np.array(blob.values, np.float32).reshape(tuple(tensor.shape))
    tensor.copy_(torch.from_numpy(values))
