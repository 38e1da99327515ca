"""The net that is exported: what TEST computes from its inputs, without data layers and losses."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.message import Message

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.graph import Graph, Value
from caffe_transfer.nets.layers import WEIGHT_TYPES
from caffe_transfer.nets.phases import TEST
from caffe_transfer.nets.shapes import BlobShapes, Shape, Shapes, infer, refuse
from caffe_transfer.nets.sizes import image_shape

# They read images from files, of which a net says the crop at most.
_READERS = frozenset({"Data", "ImageData", "HDF5Data", "WindowData"})
# They measure, swallow or write what others compute.
_WATCHERS = frozenset({"Accuracy", "HDF5Output", "Silence"})


@dataclass(frozen=True)
class Deploy:
    """A net to be used, not trained.

    Attributes:
        net: in format V2, with an Input layer for each input; Caffe runs it as it stands.
        inputs: the shape of each input, batch axis included.
        outputs: the blobs that it is for, in its order.
        dropped: the names of the layers of TEST that it does without.
        source: the layer that reads the images, with its transform_param; None where the net
            declares its inputs.
    """

    net: pb.NetParameter
    inputs: dict[str, Shape]
    outputs: tuple[str, ...]
    dropped: tuple[str, ...]
    source: pb.LayerParameter | None

    def walk(self) -> Iterator[tuple[pb.LayerParameter, list[Shape], Shapes]]:
        """The layers in order, each with the shapes of its bottoms and what it makes of them.

        Raises:
            BadInput: a layer does not fit its bottoms; names the layer.
        """
        blobs = BlobShapes()
        for layer in self.net.layer:
            bottoms = blobs.read(layer)
            found = infer(layer, bottoms)
            blobs.write(layer, found.tops)
            yield layer, bottoms, found

    @property
    def scores(self) -> tuple[str, ...]:
        """What a Softmax makes outputs of: they tell more than probabilities near 0 and 1."""
        makers = {top: layer for layer in self.net.layer for top in layer.top}
        found = (makers[name] for name in self.outputs if makers[name].type == "Softmax")
        return tuple(layer.bottom[0] for layer in found if layer.bottom[0] != layer.top[0])

    def with_batch(self, batch: int) -> "Deploy | None":
        """The net for batches of another size; None if it takes those of its own alone."""
        if len({shape[:1] for shape in self.inputs.values()}) > 1 or () in self.inputs.values():
            return None
        inputs = {name: (batch, *shape[1:]) for name, shape in self.inputs.items()}
        net = pb.NetParameter()
        net.CopyFrom(self.net)
        for layer in net.layer:
            if layer.type == "Input":
                layer.input_param.shape[0].dim[0] = batch
        found = replace(self, net=net, inputs=inputs)
        try:
            same = all(
                ours[2].parameters == theirs[2].parameters
                for ours, theirs in zip(self.walk(), found.walk(), strict=True)
            )
        except BadInput:  # such as a Reshape to a given batch
            return None
        return found if same else None


def read_deploy(path: Path, shape: Shape | None = None) -> Deploy:
    """Read a net for training or for deployment, of any age, as it is used.

    Args:
        shape: (channels, height, width) of the images, where the net does not say it.

    Raises:
        Incomplete: the file does not exist.
        FormatError: it is no net.
        BadInput: the net has no output, does not say how large its images are, or a layer does not
            fit; names file and layer.
    """
    net = read_net(path)
    try:
        found = deployed(net, shape)
        for _ in found.walk():
            pass
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return found


def deployed(net: pb.NetParameter, shape: Shape | None = None) -> Deploy:
    """The net that is exported.

    Its outputs are what the heaviest losses compare with labels, or else accuracies do, and all
    other blobs that nothing reads and that are computed from the same inputs.  Scores stay scores:
    a SoftmaxWithLoss leaves no Softmax.

    Arguments and errors are those of `read_deploy`.
    """
    graph = Graph(net, TEST)
    for layer, missing in zip(graph.layers, graph.missing, strict=True):
        if missing:
            raise refuse(
                layer,
                f"reads blob {missing[0]!r}, which no layer before it makes in phase TEST; add an "
                "Input layer for it",
            )
    outputs = _outputs(graph)
    if not outputs:
        raise BadInput("it computes nothing in phase TEST; name the net that the model is of")
    needed = set[int]().union(*(graph.ancestors(value.layer) for value in outputs))
    given = _sources(graph, outputs)
    found = pb.NetParameter(name=net.name)
    inputs: dict[str, Shape] = {}
    for index in sorted(needed):
        layer = graph.layers[index]
        if layer.bottom or layer.type == "Parameter":
            found.layer.append(_plain(layer))
            continue
        tops = [top for top in layer.top if Value(top, index) in given]
        inputs |= _input_shapes(layer, tops, shape)
        for top in tops:
            source = found.layer.add(name=top, type="Input", top=[top])
            source.input_param.shape.add(dim=inputs[top])
    readers = (graph.layers[index] for index in sorted(needed))
    return Deploy(
        net=found,
        inputs=inputs,
        outputs=tuple(value.blob for value in outputs),
        dropped=tuple(
            layer.name
            for index, layer in enumerate(graph.layers)
            if index not in needed and layer.bottom
        ),
        source=next((layer for layer in readers if layer.type in _READERS), None),
    )


def _outputs(graph: Graph) -> list[Value]:
    """The values that a net is for, in its order."""
    measured = _measured(graph)
    watchers = {i for i in range(len(graph.layers)) if _watches(graph, i)}
    kept = [i for i in range(len(graph.layers)) if i not in watchers]
    read = {value for i in kept for value in graph.bottoms[i]}
    watched = {
        value
        for i in watchers
        if graph.layers[i].type != "HDF5Output"  # what is written is wanted
        for value in graph.bottoms[i]
    }
    inputs = _sources(graph, measured)
    ends = [
        value
        for index in kept
        if graph.layers[index].bottom
        for value in graph.tops[index]
        if value not in read | watched
        and (not measured or _sources(graph, [value]) <= inputs)  # else it is made of labels
    ]
    below = {i for end in ends for i in graph.ancestors(end.layer)}
    passed = {value for i in below for value in graph.bottoms[i]}
    found = {*ends, *(value for value in measured if value not in passed)}
    return [value for tops in graph.tops for value in tops if value in found]


def _measured(graph: Graph) -> list[Value]:
    """What the heaviest losses compare with labels; without losses, what accuracies do."""
    losses = graph.losses()
    heaviest = max((graph.loss_weight(index) for index in losses), default=0.0)
    chosen = [index for index in losses if graph.loss_weight(index) == heaviest] or [
        index for index, layer in enumerate(graph.layers) if layer.type == "Accuracy"
    ]
    found: dict[Value, None] = {}
    for index in chosen:
        values = graph.bottoms[index][:2]
        learned = [value for value in values if _is_learned(graph, value)] or list(values)
        both = graph.layers[index].type == "ContrastiveLoss"
        found.update(dict.fromkeys(learned if both else learned[:1]))
    return list(found)


def _watches(graph: Graph, index: int) -> bool:
    """Whether a layer only measures what others compute."""
    kind = graph.layers[index].type
    return kind in _WATCHERS or kind.endswith("Loss") or bool(graph.loss_weight(index))


def _is_learned(graph: Graph, value: Value) -> bool:
    return any(graph.layers[i].type in WEIGHT_TYPES for i in graph.ancestors(value.layer))


def _sources(graph: Graph, values: Iterable[Value]) -> set[Value]:
    """The inputs of the net that values are computed from."""
    found: set[Value] = set()
    seen: set[Value] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        layer = graph.layers[value.layer]
        if layer.bottom:
            waiting += graph.bottoms[value.layer]
        elif layer.type != "Parameter":
            found.add(value)
    return found


def _input_shapes(
    layer: pb.LayerParameter, tops: Sequence[str], shape: Shape | None
) -> dict[str, Shape]:
    """The shapes of those tops of a source that are inputs."""
    if layer.type in _READERS:
        if len(tops) > 1:
            raise refuse(
                layer,
                f"reads several inputs, {', '.join(tops)}, of unknown shapes; make them tops of "
                "Input layers",
            )
        return dict.fromkeys(tops, (1, *_image_shape(layer, shape)))
    if layer.type == "Python":
        raise refuse(layer, "reads inputs of unknown shapes; put Input layers in its place")
    declared = dict(zip(layer.top, infer(layer, []).tops, strict=True))
    found = {top: declared[top] for top in tops}
    if shape is not None and all(each[1:] != shape for each in found.values()):
        wanted = " and ".join(",".join(map(str, each[1:])) for each in found.values())
        raise refuse(layer, f"declares the shape {wanted}; leave out --shape")
    return found


def _image_shape(layer: pb.LayerParameter, shape: Shape | None) -> Shape:
    cropped = image_shape(pb.NetParameter(layer=[layer]))
    if shape is None and cropped is None:
        raise refuse(
            layer,
            "does not say how large its images are; give --shape CHANNELS,HEIGHT,WIDTH, as in "
            "--shape 3,227,227",
        )
    if shape and cropped and shape[1:] != cropped[1:]:
        crop = cropped[1]
        raise refuse(layer, f"crops images to {crop} x {crop}, which --shape contradicts")
    return shape or cropped or ()


def _plain(layer: pb.LayerParameter) -> pb.LayerParameter:
    """A layer without what only training, phases and files need."""
    found = pb.LayerParameter()
    found.CopyFrom(layer)
    for key in ("include", "exclude", "phase", "blobs", "loss_weight", "propagate_down"):
        found.ClearField(key)
    for _, settings in found.ListFields():
        if isinstance(settings, Message):
            for field, _ in settings.ListFields():
                if field.message_type and field.message_type.name == "FillerParameter":
                    settings.ClearField(field.name)
    return found
