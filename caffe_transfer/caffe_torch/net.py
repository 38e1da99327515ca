"""A NetParameter as layers that run in order (net.cpp)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.backward import check_backward, plan_backward
from caffe_transfer.caffe_torch.fusion import Step, execution_order
from caffe_transfer.caffe_torch.layers import Layer, make_layer
from caffe_transfer.caffe_torch.parameters import as_blob, own_parameters, take
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats import caffemodel
from caffe_transfer.formats.caffemodel import Model
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.phases import check_rules, included_in
from caffe_transfer.nets.shapes import BlobShapes
from caffe_transfer.nets.splits import insert_splits

Say = Callable[[str], None]

# Their gradients do not read their tops.
_TOP_UNREAD = ("Convolution", "Deconvolution", "InnerProduct")


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
    """A net of one phase, with Caffe's Split layers.

    Attributes:
        parameters: the learnable blobs in Caffe's order; a shared one appears at its first layer.
        loss_weights: of all tops, by name.
    """

    def __init__(
        self, param: pb.NetParameter, state: pb.NetState, rng: Rng, device: torch.device
    ) -> None:
        """Set up the layers that the state includes; `param` is in format V2.

        Raises:
            BadInput: a layer does not fit its bottoms or settings, or there is none; names it.
        """
        self.name = param.name
        self.device = device
        self.loss_weights: dict[str, float] = {}
        self._param = insert_splits(_filtered(param, state))
        self._steps: list[Step] = []
        self._shapes = BlobShapes()
        unread: dict[str, None] = {}
        for layer in self._param.layer:
            self._append(layer, int(state.phase), rng, unread)
        self._outputs = sorted(unread)
        self.parameters = own_parameters(self._steps, device, force_backward=param.force_backward)
        plan_backward(self._steps, force=param.force_backward)
        if state.phase == pb.TRAIN:
            check_backward(self._steps)
        self._order = execution_order(self._steps)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return [step.layer for step in self._steps]

    @property
    def batch(self) -> int:
        """Batch size: the first axis of the first blob that has one."""
        shapes = [shape for shape in self._shapes.values() if shape]
        return shapes[0][0] if shapes else 0

    def forward(self, run: Callable[[Step, list[Tensor]], list[Tensor]] | None = None) -> Outputs:
        """Run the layers; `run` runs one on its bottoms, in the place of the layer's forward."""
        blobs: dict[str, Tensor] = {}
        loss: Tensor | None = None
        for step in self._order:
            bottoms = [
                blobs[name].detach() if stops else blobs[name]
                for name, stops in zip(step.bottoms, step.stops, strict=True)
            ]
            tops = run(step, bottoms) if run else step.layer.forward(bottoms)
            if not step.backward:
                tops = [top.detach() if top.requires_grad else top for top in tops]
            blobs.update(zip(step.tops, tops, strict=True))
            for index, weight in enumerate(step.loss_weights):
                if weight:
                    top = tops[index].detach() if step.outweighed[index] else tops[index]
                    part = top.sum() * weight
                    loss = part if loss is None else loss + part
        total = torch.zeros((), device=self.device) if loss is None else loss
        return Outputs(total, {name: blobs[name].detach() for name in self._outputs})

    def load(self, model: Model, say: Say) -> None:
        """Copy the parameters of a model's layers into the first layers of the same names.

        Args:
            say: takes the lines that tell which layers the net lacks.

        Raises:
            BadInput: a shape differs; names the layer and both shapes.
        """
        own = self._by_name()
        for source in model.layers:
            if source.name in own:
                _copy(source, own[source.name], model)
            else:
                say(f"Ignoring source layer {source.name}")

    def share(self, other: "Net") -> list[str]:
        """Share the parameters of another net's layers with the first layers of the same names.

        Returns:
            the names of the layers that this net lacks.

        Raises:
            BadInput: a shape differs; names the layer and both shapes.
        """
        own, ignored = self._by_name(), list[str]()
        for source in other.layers:
            if source.param.name in own:
                _share(source, own[source.param.name].layer)
            else:
                ignored.append(source.param.name)
        return ignored

    def settings(self) -> pb.NetParameter:
        """Name and layers, Split layers included, as Caffe writes them into models; no blobs."""
        return pb.NetParameter(name=self.name, layer=self._param.layer)

    def blobs(self, *, shared: bool = True) -> list[dict[int, caffemodel.Blob]]:
        """The parameters of each layer by their indices, on the CPU, for a model file.

        Args:
            shared: whether to include those that a layer before it owns.
        """
        return [
            {
                index: as_blob(blob)
                for index, blob in enumerate(step.layer.blobs)
                if shared or index not in step.shared
            }
            for step in self._steps
        ]

    def close(self) -> None:
        """Stop the background threads of layers."""
        for layer in self.layers:
            layer.close()

    def _by_name(self) -> dict[str, Step]:
        """The first layer of each name."""
        return {step.layer.param.name: step for step in reversed(self._steps)}

    def _append(
        self, param: pb.LayerParameter, phase: int, rng: Rng, unread: dict[str, None]
    ) -> None:
        if not param.HasField("phase"):
            param.phase = phase  # type: ignore[assignment]
        layer = make_layer(param, param.phase, rng)
        bottoms = self._shapes.read(param)
        for name in param.bottom:
            unread.pop(name, None)
        layer.device = self.device
        layer.in_place = self._may_overwrite(param)
        shapes = layer.set_up(bottoms)
        self._shapes.write(param, shapes)
        tops = list(param.top) or [f"{param.name} (automatic)" for _ in shapes]
        unread.update(dict.fromkeys(param.top))
        _check_counts(layer, len(tops))
        specs = list(param.param)
        _complete(layer)
        weights = [*param.loss_weight, *[0.0] * (len(tops) - len(param.loss_weight))]
        self.loss_weights.update(zip(tops, weights, strict=True))
        self._steps.append(Step(layer, list(param.bottom), tops, weights, specs))

    def _may_overwrite(self, param: pb.LayerParameter) -> bool:
        """Whether a layer works in place on the top of one whose gradient does not need it."""
        if not self._steps or list(param.bottom) != list(param.top):
            return False
        before = self._steps[-1]
        return before.layer.param.type in _TOP_UNREAD and before.tops == list(param.bottom)


def _filtered(param: pb.NetParameter, state: pb.NetState) -> pb.NetParameter:
    """The net with the layers that a state includes, without blobs."""
    for layer in param.layer:
        check_rules(layer)
    result = pb.NetParameter(name=param.name)
    result.layer.extend(layer for layer in param.layer if included_in(layer, state))
    if not result.layer:
        raise BadInput(
            f"the net {param.name!r} has no layers in phase {pb.Phase.Name(state.phase)}; check "
            "their include and exclude rules"
        )
    for layer in result.layer:
        layer.ClearField("blobs")
    return result


def _check_counts(layer: Layer, tops: int) -> None:
    """Check what a layer's settings have once for each top, bottom or parameter."""
    param = layer.param
    if param.loss_weight and len(param.loss_weight) != tops:
        raise layer.refuse(f"has {len(param.loss_weight)} loss_weight and {tops} tops")
    if param.propagate_down and len(param.propagate_down) != len(param.bottom):
        raise layer.refuse(
            f"has {len(param.propagate_down)} propagate_down and {len(param.bottom)} bottoms; "
            "give one for each bottom"
        )
    if len(param.param) > len(layer.blobs):
        raise layer.refuse(f"has {len(param.param)} param and {len(layer.blobs)} parameters")


def _complete(layer: Layer) -> None:
    """Add to a layer's settings what Caffe's layers add to theirs when they are set up."""
    param = layer.param
    if layer.is_loss and not param.loss_weight:
        param.loss_weight.append(1)
    if layer.statistics:
        if any(spec.lr_mult for spec in param.param):
            raise layer.refuse("has statistics, which cannot learn; set lr_mult to 0 in its param")
        for _ in layer.blobs[len(param.param) :]:
            param.param.add(lr_mult=0)


def _copy(source: caffemodel.Layer, step: Step, model: Model) -> None:
    """Copy a layer's parameters; an HDF5 file may lack those that the net shares."""
    blobs, given = step.layer.blobs, source.by_index
    lacking = set(range(len(blobs))).difference(given)
    may_lack = step.shared if model.format == "HDF5" else []
    if len(given) + len(lacking) != len(blobs) or not lacking.issubset(may_lack):
        raise BadInput(
            f"layer {source.name!r} has {len(given)} blobs in {model.path} and {len(blobs)} in "
            "the net; rename the layer to learn it from scratch"
        )
    for index, blob in given.items():
        if not same_shape(blob.shape, tuple(blobs[index].shape)):
            raise BadInput(
                f"parameter {index} of layer {source.name!r} has the shape {blob.shape} in "
                f"{model.path} and {tuple(blobs[index].shape)} in the net; rename the layer to "
                "learn it from scratch"
            )
        take(blobs[index], blob)


def _share(source: Layer, target: Layer) -> None:
    theirs, own = ([tuple(blob.shape) for blob in each.blobs] for each in (source, target))
    if theirs != own:
        raise target.refuse(
            f"has parameters of the shapes {own} in the test net and {theirs} in the training net"
        )
    target.blobs = source.blobs
