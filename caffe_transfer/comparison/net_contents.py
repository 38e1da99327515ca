"""What a prototxt says: a net's layers with their shapes and parameters, or a solver's settings."""

from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import text_format

from caffe_transfer.comparison.net_shapes import LayerShapes, PartialShape, images_of, net_shapes
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_prototxt
from caffe_transfer.formats.upgrade import format_of, upgrade_net
from caffe_transfer.nets.layers import blob_count, is_frozen, weight_layers
from caffe_transfer.nets.phases import TEST, TRAIN, phases_of
from caffe_transfer.nets.shapes import Shape

_PHASES: dict[tuple[int, ...], str] = {(TRAIN,): "TRAIN", (TEST,): "TEST", (): "none"}


@dataclass(frozen=True)
class NetLayer:
    """A layer of a net.

    Attributes:
        n: the number of the weight layer that its parameters belong to, as `copy --n` counts in
            a model of the net; None of layers without parameters.
        phase: "TRAIN" or "TEST" of a layer that is there in one phase, "none" of one in neither.
        tops: the names of its tops, and `shapes` their shapes with the batch; an axis that
            depends on images of unknown size is None, and so is a shape of which nothing is known.
        parameters: the shapes of its blobs; None where they are not known.
        frozen: whether training leaves its parameters as they are.
    """

    name: str
    type: str
    n: int | None
    phase: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    shapes: tuple[PartialShape | None, ...]
    parameters: tuple[Shape, ...] | None
    lr_mult: tuple[float, ...]
    frozen: bool

    @property
    def parameter_count(self) -> int | None:
        """How many numbers its blobs have; None where that is not known."""
        return None if self.parameters is None else sum(map(prod, self.parameters))


@dataclass(frozen=True)
class NetContents:
    """A net, upgraded to format V2.

    Attributes:
        format: V0, V1 or V2, as written.
        notes: what is assumed of its images, and what does not fit.
    """

    format: str
    name: str
    layers: tuple[NetLayer, ...]
    notes: tuple[str, ...]
    kind: str = "net"

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


@dataclass(frozen=True)
class SolverContents:
    """A solver; `settings` is its text as protobuf prints it."""

    net: str
    max_iter: int
    settings: str
    kind: str = "solver"

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


Prototxt: TypeAlias = NetContents | SolverContents


def prototxt_contents(path: Path, images: Shape | None = None) -> Prototxt:
    """Read a prototxt.

    Args:
        images: (channels, height, width) of the images that the net sees, where it does not say.

    Raises:
        Incomplete, FormatError, BadInput: as `read_prototxt`.
    """
    message = read_prototxt(path)
    if isinstance(message, pb.SolverParameter):
        text = text_format.MessageToString(message)
        return SolverContents(message.net or message.train_net, message.max_iter, text)
    net = upgrade_net(message, str(path))
    known = images_of(net, path.parent, images)
    shapes, problems = net_shapes(net, known.shape)
    numbers = _numbers(net)
    layers = (
        _layer(net, layer, shapes.get(index, LayerShapes()), numbers)
        for index, layer in enumerate(net.layer)
    )
    notes = ([known.note] if known.note else []) + problems
    return NetContents(format_of(message), net.name, tuple(layers), tuple(notes))


def _numbers(net: pb.NetParameter) -> dict[str, int]:
    try:
        found = weight_layers(net)
    except BadInput:  # rules that contradict each other; the notes say so
        return {}
    return {name: n for n, layer in enumerate(found, 1) for name in layer.members}


def _layer(
    net: pb.NetParameter, layer: pb.LayerParameter, shapes: LayerShapes, numbers: dict[str, int]
) -> NetLayer:
    count = blob_count(layer)
    tops = shapes.tops or (None,) * len(layer.top)
    return NetLayer(
        name=layer.name,
        type=layer.type,
        n=numbers.get(layer.name) if count else None,
        phase=_PHASES.get(phases_of(net, layer), ""),
        bottoms=tuple(layer.bottom),
        tops=tuple(layer.top),
        shapes=tops[: len(layer.top)],
        parameters=shapes.parameters if count or shapes.parameters else (),
        lr_mult=tuple(spec.lr_mult for spec in layer.param),
        frozen=bool(count) and is_frozen(layer),
    )
