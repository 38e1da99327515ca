"""What a user's net computes from what: its main loss, its scores, its images and its labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.edit.messages import copy_softmax, with_layers
from caffe_transfer.nets.graph import Graph
from caffe_transfer.nets.layers import CLASSIFICATION_LOSSES
from caffe_transfer.nets.phases import TEST, TRAIN, phases_of

# What a study's own layers are called.
LOSS, ACCURACY, TOP5, PROB = "loss", "accuracy", "accuracy_top5", "prob"
DATA_TYPES = frozenset({"Data", "ImageData", "MemoryData", "DummyData", "Input"})
# InfogainLoss weighs the classes of one task by a matrix.
_MAIN_LOSSES = CLASSIFICATION_LOSSES - {"InfogainLoss"}
# What a deploy net makes of its scores.
_VERDICTS = ("Softmax", "ArgMax")


@dataclass(frozen=True)
class Wired:
    """A user's net of which only what a study needs is left.

    TRAIN has what its losses are computed from, TEST what the main loss is: auxiliary losses and
    other outputs of TEST would be taken for the loss and the accuracy in a log.

    Attributes:
        net: with the main loss under the name LOSS in both phases, its data layers still there.
        images, label, scores: names of blobs.
    """

    net: pb.NetParameter
    images: str
    label: str
    scores: str


def wired(net: pb.NetParameter) -> Wired:
    """Find what the main loss of a net reads, and leave what its losses need.

    A net without a loss, such as a deploy net, gets one in the place of its Softmax.

    Raises:
        BadInput: there is no main loss of scores and labels and no single output, the net reads
            other data than images and labels, or a layer has a name that a study needs.
    """
    learning, place = _with_main_loss(net)
    scores, labels = learning.layer[place].bottom[:2]
    graph = Graph(learning, TRAIN)
    index = _places(learning, TRAIN).index(place)
    images = _images(_given_for(graph, index, scores))
    label = _label(_given_for(graph, index, labels) - {images}, labels)
    needed = {phase: _needed(learning, phase, place) for phase in (TRAIN, TEST)}
    for phase, places in needed.items():
        _check_given(learning, phase, places, {images, label})
    kept = with_layers(learning, ())
    for at, layer in enumerate(learning.layer):
        phases = [phase for phase, places in needed.items() if at in places]
        if phases:
            set_phases(layer, phases)
            kept.layer.append(layer)
            if at != place:
                _check_name(layer)
    return Wired(kept, images, label, scores)


def is_data(layer: pb.LayerParameter) -> bool:
    """Whether a layer brings data into the net."""
    return layer.type in DATA_TYPES and not layer.bottom


def set_phases(layer: pb.LayerParameter, phases: Sequence[int]) -> None:
    """Put rules on a layer that leave it in the given phases: none for both."""
    layer.ClearField("include")
    layer.ClearField("exclude")
    if len(phases) == 1:
        layer.include.add(phase=phases[0])


def _with_main_loss(net: pb.NetParameter) -> tuple[pb.NetParameter, int]:
    """A copy of a net without its accuracies, and the place of the main loss in it."""
    found = with_layers(net, (layer for layer in net.layer if layer.type != "Accuracy"))
    graph, places = Graph(found), _places(found, TRAIN)
    end = graph.main_end()
    if not graph.losses():
        return _with_new_loss(found, graph, end)
    loss = found.layer[places[end]]
    if loss.type not in _MAIN_LOSSES or len(loss.bottom) != 2 or not graph.bottoms[end]:
        raise BadInput(
            f"the main loss, layer {loss.name!r} ({loss.type}), does not compare scores of classes "
            f"with labels; make it a SoftmaxWithLoss of both"
        )
    _join_softmax(loss, graph, end)
    loss.name = LOSS
    loss.top[:] = [LOSS]
    del loss.loss_weight[1:]
    set_phases(loss, (TRAIN, TEST))
    return found, places[end]


def _join_softmax(loss: pb.LayerParameter, graph: Graph, end: int) -> None:
    """Make a loss of a Softmax a SoftmaxWithLoss, so that it reads the scores."""
    below = graph.layers[graph.bottoms[end][0].layer]
    if loss.type == "MultinomialLogisticLoss" and below.type == "Softmax":
        loss.type = "SoftmaxWithLoss"
        loss.bottom[0] = below.bottom[0]
        copy_softmax(below, loss)


def _with_new_loss(net: pb.NetParameter, graph: Graph, end: int) -> tuple[pb.NetParameter, int]:
    """A deploy net with a SoftmaxWithLoss of its scores in the place of what it makes of them."""
    places = _places(net, TRAIN)
    dropped = set[int]()
    loss = pb.LayerParameter(name=LOSS, type="SoftmaxWithLoss", top=[LOSS])
    while graph.layers[end].type in _VERDICTS and graph.bottoms[end]:
        copy_softmax(graph.layers[end], loss)
        dropped.add(places[end])
        end = graph.bottoms[end][0].layer
    sources = [layer for layer in net.layer if layer.type in DATA_TYPES and len(layer.top) > 1]
    loss.bottom[:] = [graph.layers[end].top[0], sources[0].top[1] if sources else "label"]
    found = with_layers(net, (layer for i, layer in enumerate(net.layer) if i not in dropped))
    found.layer.append(loss)
    return found, len(found.layer) - 1


def _places(net: pb.NetParameter, phase: int) -> list[int]:
    """The places of a phase's layers among all layers of a net."""
    return [at for at, layer in enumerate(net.layer) if phase in phases_of(net, layer)]


def _needed(net: pb.NetParameter, phase: int, main: int) -> set[int]:
    """The places of the layers that the losses of a phase are computed from."""
    graph, places = Graph(net, phase), _places(net, phase)
    losses = graph.losses() if phase == TRAIN else [places.index(main)]
    return {places[at] for loss in losses for at in graph.ancestors(loss)}


def _given_for(graph: Graph, index: int, blob: str) -> set[str]:
    """The blobs of data layers, or of none, that one bottom of a layer is computed from."""
    made = [value for value in graph.bottoms[index] if value.blob == blob]
    if not made or is_data(graph.layers[made[0].layer]):
        return {blob}
    return set[str]().union(*(_given_to(graph, at) for at in graph.ancestors(made[0].layer)))


def _given_to(graph: Graph, at: int) -> set[str]:
    """The bottoms of a layer that data layers make, or that no layer makes."""
    read = {value.blob for value in graph.bottoms[at] if is_data(graph.layers[value.layer])}
    return read | set(graph.missing[at])


def _images(given: set[str]) -> str:
    if not given:
        raise BadInput("the main loss is not computed from any data; add a Data layer or an input")
    if len(given) > 1:
        raise BadInput(
            f"the scores are computed from several inputs, {', '.join(sorted(given))}; a study has "
            "images alone, so leave one input"
        )
    return given.pop()


def _label(given: set[str], labels: str) -> str:
    if len(given) != 1:
        raise BadInput(
            f"the main loss compares its scores with {labels!r}, which is no label of a data "
            "layer; make its second bottom the labels"
        )
    return given.pop()


def _check_given(net: pb.NetParameter, phase: int, needed: set[int], known: set[str]) -> None:
    graph = Graph(net, phase)
    for at, place in enumerate(_places(net, phase)):
        others = _given_to(graph, at) - known
        if place in needed and others:
            raise BadInput(
                f"layer {graph.layers[at].name!r} reads {min(others)!r}, which is neither image "
                "nor label, and a study has no other data; remove the layer or the loss above it"
            )


def _check_name(layer: pb.LayerParameter) -> None:
    taken = {LOSS, ACCURACY, TOP5, PROB} & {layer.name, *layer.top}
    if taken:
        raise BadInput(
            f"layer {layer.name!r} uses the name {min(taken)!r}, which a study's own layers have; "
            "rename it"
        )
