"""What a layer is: the one answer for all that counts, copies, freezes or verifies layers.

A *weight layer* is what the paper counts: n = 4 is a cut above the fourth one.  It has weights of
its own (a convolution, an inner product); BatchNorm, Scale, Bias and PReLU hold parameters too, but
belong to the weight layer below them.  A *classifier* is a weight layer whose output reaches the
loss through layers without weights only.  A layer that is there in one phase only counts where the
net learns.

Nets are parsed NetParameters in format V2.  Nothing here imports protobuf or numpy: `copy` starts
faster than either of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe_transfer.formats.layer_types import modern_type
from caffe_transfer.nets.graph import Graph
from caffe_transfer.nets.phases import learning_layers

if TYPE_CHECKING:
    from typing import Protocol

    from caffe_transfer.formats.proto import caffe_pb2 as pb

    OutputSettings = (
        pb.ConvolutionParameter
        | pb.InnerProductParameter
        | pb.EmbedParameter
        | pb.RecurrentParameter
    )

    class StoredLayer(Protocol):
        """A layer of a model file: layer_records.LayerRecord or caffemodel.Layer."""

        @property
        def name(self) -> str: ...
        @property
        def type(self) -> str: ...
        @property
        def blobs(self) -> Sequence[object]: ...


WEIGHT_TYPES = frozenset(
    {"Convolution", "Deconvolution", "InnerProduct", "Embed", "LSTM", "RNN"}
)  # fmt: skip
# Their parameters go with the weight layer below.
COMPANION_TYPES = frozenset({"BatchNorm", "Scale", "Bias", "PReLU"})
# They read scores of classes and labels; what other losses read are no scores.
CLASSIFICATION_LOSSES = frozenset(
    {"SoftmaxWithLoss", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss"}
)


@dataclass(frozen=True)
class WeightLayer:
    """A weight layer.

    Attributes:
        type: in format V2, such as "Convolution".
        members: the names of all layers whose parameters belong to it, itself included, in the
            net's order.
    """

    name: str
    type: str
    members: tuple[str, ...]


def weight_layers(net: "pb.NetParameter") -> tuple[WeightLayer, ...]:
    """The weight layers of a net, in its order."""
    graph = Graph(net)
    owners = [_owner(graph, index) for index in range(len(graph.layers))]
    return _grouped(
        (layer.name, layer.type, None if owner is None else graph.layers[owner].name)
        for layer, owner in zip(graph.layers, owners, strict=True)
        if blob_count(layer)
    )


def stored_weight_layers(layers: "Iterable[StoredLayer]") -> tuple[WeightLayer, ...]:
    """The weight layers of a model file of any binary format, in the file's order.

    A file does not say what reads what, so that parameters of a companion go with the weight
    layer before it.
    """
    rows: list[tuple[str, str, str | None]] = []
    owner: str | None = None
    for layer in layers:
        if layer.blobs:
            kind = modern_type(layer.type)
            if kind not in COMPANION_TYPES:
                owner = layer.name
            rows.append((layer.name, kind, owner))
    return _grouped(rows)


def numbered_weight_layers(names: Iterable[str]) -> tuple[WeightLayer, ...] | None:
    """Weight layers in the order of the numbers that end their names, as in conv1 ... fc8.

    For HDF5 models, which keep neither order nor types; None if the names do not tell.
    """
    numbers: dict[int, str] = {}
    for name in names:
        digits = name[len(name.rstrip("0123456789")) :]
        if not digits or int(digits) in numbers:
            return None
        numbers[int(digits)] = name
    return tuple(WeightLayer(name, "", (name,)) for _, name in sorted(numbers.items()))


def classifiers(net: "pb.NetParameter") -> tuple[WeightLayer, ...]:
    """The weight layers that a loss of classes reads, through layers without weights only.

    A net without such losses has those that any loss reads; one without losses, as a deploy net
    is, those that its outputs come from.
    """
    graph = Graph(net)
    losses = graph.losses()
    of_classes = [i for i in losses if graph.layers[i].type in CLASSIFICATION_LOSSES]
    found: set[int] = set()
    for index in of_classes or losses or graph.ends():
        own = graph.layers[index].type in WEIGHT_TYPES
        found |= {index} if own else graph.above(index, WEIGHT_TYPES)
    names = {graph.layers[index].name for index in found}
    return tuple(layer for layer in weight_layers(net) if layer.name in names)


def outputs(net: "pb.NetParameter") -> int | None:
    """The number of classes that a net tells apart: the outputs of its last classifier.

    None where no classifier is found.
    """
    found = classifiers(net)
    if not found:
        return None
    layer = next(each for each in learning_layers(net) if each.name == found[-1].name)
    settings = output_settings(layer)
    return settings.num_output if settings is not None and settings.num_output else None


def output_settings(layer: "pb.LayerParameter") -> "OutputSettings | None":
    """The part of a weight layer's settings that says how many outputs it has; None of others."""
    match layer.type:
        case "Convolution" | "Deconvolution":
            return layer.convolution_param
        case "InnerProduct":
            return layer.inner_product_param
        case "Embed":
            return layer.embed_param
        case "LSTM" | "RNN":
            return layer.recurrent_param
    return None


def frozen_layers(net: "pb.NetParameter") -> tuple[str, ...]:
    """The names of the layers whose parameters training cannot change, in the net's order."""
    layers = learning_layers(net)
    return tuple(layer.name for layer in layers if blob_count(layer) and is_frozen(layer))


def is_frozen(layer: "pb.LayerParameter") -> bool:
    """Whether training leaves the parameters of a layer as they are.

    A blob without a `param` of its own has lr_mult 1.  BatchNorm's blobs are statistics, which go
    on moving, whatever their multipliers, unless use_global_stats is set (batch_norm_layer.cpp).
    """
    if layer.type == "BatchNorm":
        return layer.batch_norm_param.use_global_stats
    rates = [spec.lr_mult for spec in layer.param]
    count = blob_count(layer)
    return len(rates) >= count and not any(rates[:count])


def blob_count(layer: "pb.LayerParameter") -> int:
    """How many parameter blobs a layer has."""
    match layer.type:
        case "Convolution" | "Deconvolution":
            return 1 + layer.convolution_param.bias_term
        case "InnerProduct":
            return 1 + layer.inner_product_param.bias_term
        case "Embed":
            return 1 + layer.embed_param.bias_term
        case "LSTM" | "RNN":
            count, states = {"LSTM": (3, 2), "RNN": (5, 1)}[layer.type]
            given = 2 + states * layer.recurrent_param.expose_hidden
            return count + (len(layer.bottom) > given)  # a static input has weights of its own
        case "BatchNorm":
            return 3
        case "Scale":  # a second bottom is the factor
            return (len(layer.bottom) == 1) + layer.scale_param.bias_term
        case "Bias":
            return 1 if len(layer.bottom) == 1 else 0
        case "PReLU" | "Parameter":
            return 1
    return 0


def members(layers: Iterable[WeightLayer]) -> tuple[str, ...]:
    """The names of all layers whose parameters belong to the given weight layers."""
    return tuple(name for layer in layers for name in layer.members)


def _grouped(rows: Iterable[tuple[str, str, str | None]]) -> tuple[WeightLayer, ...]:
    """Weight layers of (name, type, owner's name) rows; the first one takes what none owns."""
    groups: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    unowned: list[str] = []
    for name, kind, owner in rows:
        if owner is None:
            unowned.append(name)
            continue
        if owner == name:
            kinds[name] = kind
        groups.setdefault(owner, []).append(name)
    for owner, names in groups.items():
        names[:0], unowned = unowned, []
        groups[owner] = names
    return tuple(WeightLayer(owner, kinds[owner], tuple(names)) for owner, names in groups.items())


def _owner(graph: Graph, index: int) -> int | None:
    """The weight layer that a layer's parameters belong to; None if there is none below."""
    if graph.layers[index].type not in COMPANION_TYPES:
        return index
    return max(graph.above(index, WEIGHT_TYPES), default=None)
