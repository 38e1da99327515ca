"""The cuts of a net: where it can be divided into layers that are copied and layers that are fresh.

A cut is a blob that every path from the images to the main loss passes; the layers below it are
those that it is computed from.  So a chain can be cut above each of its weight layers, as the paper
cuts CaffeNet; GoogLeNet between its inceptions, a ResNet after each block's sum, never inside one.
Auxiliary classifiers are above every cut, since no cut is computed from them.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.graph import Graph, Value
from caffe_transfer.nets.layers import WeightLayer, classifiers, members, weight_layers
from caffe_transfer.nets.shapes import Shape, blob_shapes
from caffe_transfer.nets.sizes import Cost, image_shape, layer_costs, total


@dataclass(frozen=True)
class Cut:
    """A place where a net can be cut.

    Attributes:
        n: counts the cuts from the images, from 1; 0 for one inside a block, which has no number.
        name: the blob that the layers above read.
        added: the weight layers between this cut and the one before.
        below: all weight layers that are copied, in the net's order.
        torn: blobs by which layers below are read past the cut; empty unless it is inside a block.
    """

    n: int
    name: str
    added: tuple[WeightLayer, ...]
    below: tuple[WeightLayer, ...]
    torn: tuple[str, ...] = ()


@dataclass(frozen=True)
class CutSize:
    """A cut with what lies below it.

    Attributes:
        below: the cost of all layers below, for one image.
        parameter_share, multiply_add_share: of the whole net's, 0 to 1.
        shape: of the blob at the cut, without the batch axis.
    """

    cut: Cut
    below: Cost
    parameter_share: float
    multiply_add_share: float
    shape: Shape

    def as_dict(self) -> dict[str, Any]:
        """The table's row by column."""
        return {
            "n": self.cut.n,
            "name": self.cut.name,
            "weight_layers": [layer.name for layer in self.cut.added],
            "parameters": self.below.parameters,
            "parameter_share": self.parameter_share,
            "multiply_adds": self.below.multiply_adds,
            "multiply_add_share": self.multiply_add_share,
            "shape": list(self.shape),
        }


def measured_cuts(net: pb.NetParameter, images: Shape | None = None) -> tuple[CutSize, ...]:
    """The cuts of a net with their sizes.

    Args:
        images: (channels, height, width), where the net does not say it.

    Raises:
        BadInput: the net cannot be cut, does not say the size of its images, or a layer does not
            fit.
    """
    found = cuts(net)
    images = images or image_shape(net)
    if images is None:
        raise BadInput(
            f"net {net.name!r} does not say the size of its images; give it with --shape, as in "
            "3,227,227"
        )
    costs, blobs = layer_costs(net, images), blob_shapes(net, images)
    main = _needed(net)
    whole = total(costs, (name for name in costs if name in main))
    return tuple(_measured(cut, costs, whole, blobs[cut.name]) for cut in found)


def _measured(cut: Cut, costs: Mapping[str, Cost], whole: Cost, shape: Shape) -> CutSize:
    below = total(costs, members(cut.below))
    return CutSize(
        cut,
        below,
        below.parameters / whole.parameters,
        below.multiply_adds / whole.multiply_adds,
        shape,
    )


def _needed(net: pb.NetParameter) -> set[str]:
    """The layers that the main end is computed from: auxiliary classifiers do not count."""
    graph = Graph(net)
    return {graph.layers[index].name for index in graph.ancestors(graph.main_end())}


def cuts(net: pb.NetParameter) -> tuple[Cut, ...]:
    """The cuts of a net, from its images up; the classifier is always above.

    Raises:
        BadInput: the net has no main loss, or nowhere to be cut.
    """
    graph = Graph(net)
    found = tuple(_cuts(graph, net))
    if not found:
        raise BadInput(
            f"net {net.name!r} has no place to cut at: no weight layer below its classifier"
        )
    return found


def find_cut(net: pb.NetParameter, name: str) -> Cut:
    """The cut at a blob or above a layer, by name; also one inside a block.

    Raises:
        BadInput: there is no such blob or layer (similar names are offered), or nothing below it
            has weights.
    """
    found = cuts(net)
    graph = Graph(net)
    value = _value(graph, net, name)
    below = _below(graph, weight_layers(net), value)
    for cut in found:
        if cut.name == value.blob or cut.below == below:
            return cut
    if not below:
        raise BadInput(f"no weight layer lies below {name!r}; choose one of {_names(found)}")
    if {layer.name for layer in below} & {layer.name for layer in classifiers(net)}:
        raise BadInput(
            f"{name!r} is not below the classifier, which is always fresh; choose one of "
            f"{_names(found)}"
        )
    return Cut(0, value.blob, (), below, tuple(_torn(graph, value)))


def _cuts(graph: Graph, net: pb.NetParameter) -> Iterator[Cut]:
    layers = weight_layers(net)
    last = {layer.name for layer in classifiers(net)}
    number = 0
    seen: set[int] = set()
    names: set[str] = set()  # of the layers below
    for value in graph.gates():  # each is computed from those before
        found = graph.ancestors(value.layer, seen)
        seen |= found
        new = {graph.layers[index].name for index in found} - names
        names |= new
        if last & new:
            return
        if added := tuple(layer for layer in layers if layer.name in new):
            number += 1
            below = tuple(layer for layer in layers if layer.name in names)
            yield Cut(number, value.blob, added, below)


def _below(graph: Graph, layers: Sequence[WeightLayer], value: Value) -> tuple[WeightLayer, ...]:
    names = {graph.layers[index].name for index in graph.ancestors(value.layer)}
    return tuple(layer for layer in layers if layer.name in names)


def _value(graph: Graph, net: pb.NetParameter, name: str) -> Value:
    """The last value of a blob, or what a layer makes."""
    blobs = {value.blob: value for tops in graph.tops for value in tops}
    layers = {graph.layers[index].name: tops[0] for index, tops in enumerate(graph.tops) if tops}
    if name in blobs:
        return blobs[name]
    if name in layers:
        return layers[name]
    near = difflib.get_close_matches(name, {**blobs, **layers}, n=3, cutoff=0.4)
    offer = f"; did you mean {' or '.join(near)}?" if near else ""
    raise BadInput(f"net {net.name!r} has no blob or layer {name!r}{offer}")


def _torn(graph: Graph, value: Value) -> Iterator[str]:
    below = graph.ancestors(value.layer)
    needed = set[int]()
    waiting = [graph.main_end()]
    while waiting:
        at = waiting.pop()
        if at not in needed:
            needed.add(at)
            waiting += [bottom.layer for bottom in graph.bottoms[at] if bottom.layer not in below]
    seen: set[Value] = {value}
    for index in sorted(needed):
        for bottom in graph.bottoms[index]:
            passes = bottom.layer in below and graph.bottoms[bottom.layer]
            if passes and bottom not in seen:
                seen.add(bottom)
                yield bottom.blob


def _names(found: tuple[Cut, ...]) -> str:
    names = [cut.name for cut in found]
    return ", ".join(names if len(names) <= 8 else [*names[:7], "..."])
