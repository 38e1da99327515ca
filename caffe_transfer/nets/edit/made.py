"""A network's nets, made of a user's by one edit after the other."""

import math
from collections.abc import Collection

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.edit.data import DataSettings, data_layers, image_shape
from caffe_transfer.nets.edit.freezing import freeze
from caffe_transfer.nets.edit.messages import copy_softmax, naming, with_layers
from caffe_transfer.nets.edit.wiring import (
    ACCURACY,
    LOSS,
    PROB,
    TOP5,
    Wired,
    is_data,
    set_phases,
    wired,
)
from caffe_transfer.nets.graph import Graph
from caffe_transfer.nets.layers import classifiers, output_settings
from caffe_transfer.nets.phases import TEST, TRAIN
from caffe_transfer.nets.shapes import blob_shapes

DEPLOY_BATCH = 10
UNREAD = "unread"
# Of so few classes, five guesses say little.
MOST_CLASSES_WITHOUT_TOP5 = 10


def train_val(
    net: pb.NetParameter,
    *,
    name: str,
    outputs: int,
    data: DataSettings,
    frozen: Collection[str] = (),
    file: str = "",
) -> pb.NetParameter:
    """The net that a network is trained and tested with.

    Args:
        net: as `checked` returned it.
        name: of the net that is made.
        outputs: classes of the network's task.
        frozen: names of the layers that do not learn.
        file: the user's, for messages; the net's name where it is empty.

    Raises:
        BadInput: a layer does not fit its input or the number of classes, or shares a parameter
            across the cut; names file and layer.
    """
    with naming(file or net.name or "the net"):
        user = wired(net)
        found = _with_data(user, data)
        found.name = name
        _set_outputs(found, user, outputs)
        _fill_weights(found)
        found = _with_accuracies(found, outputs)
        freeze(found, frozen)
        _silence(found)
        for phase in (TRAIN, TEST):
            _check_sizes(found, phase, user, data, outputs)
    return found


def deploy(
    net: pb.NetParameter, *, name: str, outputs: int, data: DataSettings, file: str = ""
) -> pb.NetParameter:
    """The net that is used after training: an Input, and the probabilities of the classes.

    Arguments and errors are those of `train_val`.
    """
    with naming(file or net.name or "the net"):
        user = wired(net)
        source = pb.LayerParameter(name=user.images, type="Input", top=[user.images])
        source.input_param.shape.add(dim=(DEPLOY_BATCH, *image_shape(user, data)))
        prob = pb.LayerParameter(name=PROB, type="Softmax", bottom=[user.scores], top=[PROB])
        copy_softmax(_loss(user.net), prob)
        found = with_layers(user.net, [source, *_scoring(user), prob])
        found.name = name
        _set_outputs(found, user, outputs)
        for layer in found.layer:
            set_phases(layer, (TRAIN, TEST))
        _check_sizes(found, TEST, user, data, outputs)
    return found


def _loss(net: pb.NetParameter) -> pb.LayerParameter:
    return next(layer for layer in net.layer if layer.name == LOSS)


def _with_data(user: Wired, data: DataSettings) -> pb.NetParameter:
    """The study's data layers in the place of the user's."""
    others = (layer for layer in user.net.layer if not is_data(layer))
    return with_layers(user.net, [*data_layers(user, data), *others])


def _set_outputs(net: pb.NetParameter, user: Wired, outputs: int) -> None:
    """Give all classifiers, auxiliary ones as well, an output for each class."""
    names = {layer.name for layer in classifiers(user.net)}
    for layer in net.layer:
        if layer.name not in names:
            continue
        settings = output_settings(layer)
        if settings is not None:
            settings.num_output = outputs
        group = layer.convolution_param.group
        if outputs % group:
            raise BadInput(
                f"the classifier, layer {layer.name!r}, has {group} groups, into which {outputs} "
                "classes do not divide; remove its group"
            )


def _fill_weights(net: pb.NetParameter) -> None:
    """Draw weights that have no filler, as in deploy nets: Caffe's zeros would never learn.

    The filler is msra (He et al. 2015), made for layers between rectifiers, and xavier for those
    that are not (Glorot and Bengio 2010): recurrent layers and the rows of Embed.
    """
    for layer in net.layer:
        settings = output_settings(layer)
        if settings is not None and not settings.HasField("weight_filler"):
            linear = layer.type in {"LSTM", "RNN", "Embed"}
            settings.weight_filler.type = "xavier" if linear else "msra"


def _with_accuracies(net: pb.NetParameter, outputs: int) -> pb.NetParameter:
    """Top-1, and where there are more than ten classes top-5, of the main scores, in TEST."""
    layers = []
    for layer in net.layer:
        layers.append(layer)
        if layer.name == LOSS:
            layers.append(_accuracy(layer, ACCURACY))
            if outputs > MOST_CLASSES_WITHOUT_TOP5:
                layers.append(_accuracy(layer, TOP5))
                layers[-1].accuracy_param.top_k = 5
    return with_layers(net, layers)


def _accuracy(loss: pb.LayerParameter, name: str) -> pb.LayerParameter:
    found = pb.LayerParameter(name=name, type="Accuracy", bottom=loss.bottom, top=[name])
    if loss.softmax_param.HasField("axis"):
        found.accuracy_param.axis = loss.softmax_param.axis
    set_phases(found, (TEST,))
    return found


def _silence(net: pb.NetParameter) -> None:
    """Swallow what nothing reads: in a log of tests it would pass for the accuracy."""
    for phase in (TRAIN, TEST):
        graph = Graph(net, phase)
        read = {value for bottoms in graph.bottoms for value in bottoms}
        unread = [
            value.blob
            for index, tops in enumerate(graph.tops)
            for value in (tops[1:] if graph.loss_weight(index) else tops)
            if value not in read and graph.layers[index].type != "Accuracy"
        ]
        if unread:
            layer = net.layer.add(name=UNREAD, type="Silence", bottom=unread)
            set_phases(layer, (phase,))


def _scoring(user: Wired) -> list[pb.LayerParameter]:
    """The layers that compute the main scores from the images."""
    graph = Graph(user.net, TEST)
    loss = next(i for i, layer in enumerate(graph.layers) if layer.name == LOSS)
    last = next(value for value in graph.bottoms[loss] if value.blob == user.scores)
    found = [graph.layers[index] for index in sorted(graph.ancestors(last.layer))]
    return [layer for layer in found if not is_data(layer)]


def _check_sizes(
    net: pb.NetParameter, phase: int, user: Wired, data: DataSettings, outputs: int
) -> None:
    """Follow the shapes of a made net to its scores."""
    shape = image_shape(user, data)
    try:
        scores = math.prod(blob_shapes(net, shape, phase)[user.scores])
    except BadInput as error:
        raise BadInput(
            f"{error} (the net sees images of {shape[1]} x {shape[2]} pixels)"
        ) from error
    if scores != outputs:
        raise BadInput(
            f"layer {LOSS!r} reads {user.scores!r}, which has {scores} scores of an image where "
            f"the task has {outputs} classes; make it one classifier's output"
        )
