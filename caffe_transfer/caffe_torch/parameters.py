"""Learnable blobs: who owns them, who shares them, and how they pass to and from files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.fusion import Step
from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.caffe_torch.layers.base import to_channels_last
from caffe_transfer.formats import caffemodel
from caffe_transfer.formats.proto import caffe_pb2 as pb


@dataclass
class Parameter:
    """A learnable blob, the layer that owns it, and the settings of all layers that share it."""

    layer: str
    value: Tensor
    spec: pb.ParamSpec

    @property
    def lr_mult(self) -> float:
        """The multiplier of the learning rate."""
        return self.spec.lr_mult

    @property
    def decay_mult(self) -> float:
        """The multiplier of the weight decay."""
        return self.spec.decay_mult


def own_parameters(
    steps: Sequence[Step], device: torch.device, *, force_backward: bool
) -> list[Parameter]:
    """Move the blobs of layers to a device, join those that share a name, and set requires_grad.

    Returns:
        the parameters in Caffe's order; a shared one stands at its first layer.

    Raises:
        BadInput: a blob does not fit the one that it shares; names both layers.
    """
    found: list[Parameter] = []
    named: dict[str, Parameter] = {}
    owners: list[list[Parameter]] = []
    for step in steps:
        owners.append([])
        for index, blob in enumerate(step.layer.blobs):
            specs = step.layer.param.param
            spec = specs[index] if index < len(specs) else pb.ParamSpec()
            if spec.name in named:
                owner = named[spec.name]
                _join(owner, step.layer, blob, spec)
                step.shared.append(index)
            else:
                owner = _own(step.layer, blob, spec, device)
                found.append(owner)
                if spec.name:
                    named[spec.name] = owner
            owners[-1].append(owner)
    statistics = {id(owner) for step, own in zip(steps, owners, strict=True)
                  if step.layer.statistics for owner in own}  # fmt: skip
    for parameter in found:
        learns = parameter.lr_mult != 0 or (force_backward and id(parameter) not in statistics)
        parameter.value.requires_grad_(learns)
    for step, own in zip(steps, owners, strict=True):
        shapes = [blob.shape for blob in step.layer.blobs]
        step.layer.blobs = [
            owner.value if owner.value.shape == shape else owner.value.view(shape)
            for owner, shape in zip(own, shapes, strict=True)
        ]
    return found


def _own(layer: Layer, blob: Tensor, spec: pb.ParamSpec, device: torch.device) -> Parameter:
    value = blob.to(device)
    if not spec.name:  # shared ones may be viewed in another shape, which takes C order
        value = to_channels_last(value)
    own = pb.ParamSpec()
    own.CopyFrom(spec)
    return Parameter(layer.param.name, value, own)


def _join(owner: Parameter, layer: Layer, blob: Tensor, spec: pb.ParamSpec) -> None:
    """Check that a layer's blob fits the shared one; it may set what no layer before it has set."""
    permissive = spec.share_mode == pb.ParamSpec.PERMISSIVE
    fits = blob.numel() == owner.value.numel() if permissive else blob.shape == owner.value.shape
    if not fits:
        raise layer.refuse(
            f"shares parameter {spec.name!r} of layer {owner.layer!r}, whose shape is "
            f"{tuple(owner.value.shape)}, not {tuple(blob.shape)}"
        )
    for key in ("lr_mult", "decay_mult"):
        if not spec.HasField(key):
            continue
        if owner.spec.HasField(key) and getattr(spec, key) != getattr(owner.spec, key):
            raise layer.refuse(
                f"shares parameter {spec.name!r} with another {key} than layer {owner.layer!r}"
            )
        setattr(owner.spec, key, getattr(spec, key))


def as_blob(tensor: Tensor) -> caffemodel.Blob:
    """A tensor as a blob of a file: flat, in C order, float32, on the CPU."""
    values = tensor.detach().to("cpu", torch.float32).contiguous().numpy().ravel()
    return caffemodel.Blob(tuple(tensor.shape), values)


@torch.no_grad()
def take(tensor: Tensor, blob: caffemodel.Blob) -> None:
    """Copy a blob of a file into a tensor of as many values, whatever its legacy shape."""
    values = np.array(blob.values, np.float32).reshape(tuple(tensor.shape))
    tensor.copy_(torch.from_numpy(values))
