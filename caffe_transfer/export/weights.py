"""The parameters of a model by name, with what each of them means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from caffe_transfer.errors import BadInput
from caffe_transfer.export.deploy import Deploy
from caffe_transfer.formats.caffemodel import Blob, Model, open_model
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.units import shape_text

Array: TypeAlias = npt.NDArray[np.float32]
_Place: TypeAlias = tuple[str, int]  # a layer and the index of a blob

_BIAS = ("bias", "summand of each output")
_GATES = {"LSTM": "gates i, f, o, g one after the other", "RNN": "the hidden state"}


@dataclass(frozen=True)
class Weight:
    """A parameter of a layer.

    Attributes:
        name: the layer's name, a dot, and what the parameter is called: conv1.weight.
        type: of the layer, in format V2.
        index: of the blob among the layer's.
        meaning: what it is, in words.
        values: in the shape that the net gives it.
    """

    name: str
    layer: str
    type: str
    index: int
    meaning: str
    values: Array


def read_weights(model: Path, deploy: Deploy, net: Path) -> list[Weight]:
    """The parameters of a net, from a model of any age, in the net's order.

    Layers that the net does not have are left out, as Caffe leaves them out.

    Args:
        net: the file that `deploy` is of, for messages.

    Raises:
        Incomplete: the model does not exist.
        FormatError: it is truncated or no model.
        BadInput: it does not fit the net; names the layer.
    """
    layers = {
        layer.name: (layer, found.parameters)
        for layer, _, found in deploy.walk()
        if found.parameters
    }
    _check_names(deploy, net)
    owners = _owners(deploy, layers)
    with open_model(model) as opened:
        stored = _stored(opened, layers, owners, net)
    weights = []
    for name, (layer, shapes) in layers.items():
        called = names(layer)
        for index, shape in enumerate(shapes):
            suffix, meaning = called[index]
            values = stored[owners[name, index]].reshape(shape)
            weights.append(Weight(f"{name}.{suffix}", name, layer.type, index, meaning, values))
    return weights


def names(layer: pb.LayerParameter) -> Sequence[tuple[str, str]]:
    """What each parameter of a layer is called, and what it means."""
    match layer.type:
        case "Convolution":
            return [("weight", "filters (outputs, inputs / group, height, width)"), _BIAS]
        case "Deconvolution":
            return [("weight", "filters (inputs, outputs / group, height, width)"), _BIAS]
        case "InnerProduct":
            turned = layer.inner_product_param.transpose
            return [("weight", "(inputs, outputs)" if turned else "(outputs, inputs)"), _BIAS]
        case "Embed":
            return [("weight", "a row for each index"), _BIAS]
        case "BatchNorm":
            divided = "divide by scale_factor, which may be 0 for none"
            return [
                ("mean", f"sum of the means of each channel; {divided}"),
                ("variance", f"sum of the variances of each channel; {divided}"),
                ("scale_factor", "weight of the sums mean and variance"),
            ]
        case "Scale":
            both = [("gamma", "factor"), ("beta", "summand behind the factor")]
            return both if len(layer.bottom) == 1 else both[1:]
        case "Bias":
            return [("bias", "summand")]
        case "PReLU":
            return [("slope", "factor of values below 0")]
        case "LSTM" | "RNN":
            return _recurrent(layer)
    return [("value", "the layer's top")]  # Parameter: no other type has parameters


def _recurrent(layer: pb.LayerParameter) -> list[tuple[str, str]]:
    gates = _GATES[layer.type]
    states = {"LSTM": 2, "RNN": 1}[layer.type] * layer.recurrent_param.expose_hidden
    found = [
        ("weight_input", f"from the input to {gates}: (outputs, inputs)"),
        ("bias", f"summand of {gates}"),
    ]
    if len(layer.bottom) > 2 + states:
        found.append(("weight_static", f"from the static input to {gates}: (outputs, inputs)"))
    found.append(("weight_hidden", f"from the hidden state before to {gates}: (outputs, inputs)"))
    if layer.type == "RNN":
        found.append(("weight_output", "from the hidden state to the output: (outputs, inputs)"))
        found.append(("bias_output", "summand of the output"))
    return found


def _check_names(deploy: Deploy, net: Path) -> None:
    seen: set[str] = set()
    for layer, _, found in deploy.walk():
        if found.parameters and layer.name in seen:
            raise BadInput(
                f"{net}: two layers with parameters have the name {layer.name!r}; rename one, "
                "since models keep parameters by the layer's name"
            )
        seen.update([layer.name] if found.parameters else [])


def _owners(
    deploy: Deploy, layers: Mapping[str, tuple[pb.LayerParameter, tuple[Shape, ...]]]
) -> dict[_Place, _Place]:
    """For each parameter the first one that it shares its values with, itself if with none."""
    found: dict[_Place, _Place] = {}
    named: dict[str, _Place] = {}
    for name, (layer, shapes) in layers.items():
        for index in range(len(shapes)):
            place = (name, index)
            shared = layer.param[index].name if index < len(layer.param) else ""
            found[place] = named.setdefault(shared, place) if shared else place
    return found


def _stored(
    model: Model,
    layers: Mapping[str, tuple[pb.LayerParameter, tuple[Shape, ...]]],
    owners: Mapping[_Place, _Place],
    net: Path,
) -> dict[_Place, Array]:
    """The values of each parameter that is no other one's; the last of several counts, as in Caffe.

    Raises:
        BadInput: some are missing, misshapen or too many.
    """
    found: dict[_Place, Array] = {}
    for stored in model.layers:
        if stored.name not in layers or not stored.blobs:
            continue
        layer, shapes = layers[stored.name]
        blobs = stored.by_index
        if len(blobs) > len(shapes) or max(blobs) >= len(shapes):
            raise _misfit(model, net, layer, f"{len(blobs)} blobs", f"{len(shapes)}")
        for index, blob in blobs.items():
            if not same_shape(blob.shape, shapes[index]):
                raise _misfit(
                    model, net, layer, f"blob {index} of the shape {shape_text(blob.shape)}",
                    shape_text(shapes[index]),
                )  # fmt: skip
            found[owners[stored.name, index]] = _as_float32(blob)
    lacking = [place for place, owner in owners.items() if owner not in found]
    if lacking:
        raise _lacking(model, net, list(dict.fromkeys(name for name, _ in lacking)))
    return found


def _as_float32(blob: Blob) -> Array:
    return np.array(blob.values, np.float32)  # a copy: the file is closed soon


def _misfit(model: Model, net: Path, layer: pb.LayerParameter, theirs: str, ours: str) -> BadInput:
    return BadInput(
        f"layer {layer.name!r} ({layer.type}) has {theirs} in {model.path} and {ours} in {net}; "
        "name the net that the model was trained with"
    )


def _lacking(model: Model, net: Path, layers: Sequence[str]) -> BadInput:
    more = f" and {len(layers) - 1} more layers" if len(layers) > 1 else ""
    return BadInput(
        f"{model.path} lacks parameters of layer {layers[0]!r}{more} of {net}; name the net that "
        "the model was trained with"
    )
