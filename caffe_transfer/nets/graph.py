"""A net as a graph: which layer reads what, and which blobs every path to the loss passes.

A blob that layers change in place is several values under one name; here each is a node of its own.
A graph is of one phase, in which one layer makes a value.
Nothing here imports protobuf: `copy` starts faster than that.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe_transfer.errors import BadInput
from caffe_transfer.nets.phases import learning_layers, phase_layers

if TYPE_CHECKING:
    from caffe_transfer.formats.proto import caffe_pb2 as pb

# They show or swallow values, and are no ends of a net.
_WATCHERS = frozenset({"Accuracy", "HDF5Output", "Silence"})


@dataclass(frozen=True)
class Value:
    """What a layer writes into one of its tops.

    Attributes:
        blob: the top's name.
        layer: the index of the layer that makes it.
    """

    blob: str
    layer: int


class Graph:
    """The layers of a net in order, and the values that pass between them.

    Attributes:
        layers: those of the phase, as the net has them.
        bottoms: for each layer the values that it reads.
        tops: for each layer the values that it makes.
        missing: for each layer the blobs that it reads and no layer before it makes.
    """

    def __init__(self, net: "pb.NetParameter", phase: int | None = None) -> None:
        """The graph of a net in a phase, by default that in which it learns."""
        layers = learning_layers(net) if phase is None else phase_layers(net, phase)
        self.layers: Sequence[pb.LayerParameter] = layers
        self.bottoms: list[tuple[Value, ...]] = []
        self.tops: list[tuple[Value, ...]] = []
        self.missing: list[tuple[str, ...]] = []
        current: dict[str, Value] = {}
        for index, layer in enumerate(self.layers):
            self.bottoms.append(tuple(current[blob] for blob in layer.bottom if blob in current))
            self.missing.append(tuple(blob for blob in layer.bottom if blob not in current))
            self.tops.append(tuple(Value(blob, index) for blob in layer.top))
            current.update({value.blob: value for value in self.tops[-1]})

    def losses(self) -> list[int]:
        """The indices of the layers whose tops are minimized."""
        return [index for index in range(len(self.layers)) if self.loss_weight(index)]

    def loss_weight(self, index: int) -> float:
        """The weight of a layer's first loss; 0 for a layer that is none."""
        layer = self.layers[index]
        given = max(layer.loss_weight, default=0.0)
        return given if layer.loss_weight else float(layer.type.endswith("Loss"))

    def ends(self) -> list[int]:
        """The indices of the layers that compute something which no other one computes with."""
        used = [i for i, layer in enumerate(self.layers) if layer.type not in _WATCHERS]
        read = {value.layer for index in used for value in self.bottoms[index]}
        return [index for index in used if index not in read and self.layers[index].bottom]

    def main_end(self) -> int:
        """The layer that the net is for: its heaviest loss, or, in a deploy net, its only output.

        Raises:
            BadInput: there is none, or several weigh the same; names them.
        """
        losses = self.losses()
        weights = {index: self.loss_weight(index) for index in losses}
        ends = [i for i in losses if weights[i] == max(weights.values())] or self.ends()
        if len(ends) == 1:
            return ends[0]
        names = ", ".join(self.layers[index].name for index in ends)
        if losses:
            raise BadInput(
                f"the net has several losses of one weight, {names}; give the main one a larger "
                "loss_weight"
            )
        raise BadInput(
            f"the net has no loss, and {f'several outputs, {names}' if ends else 'no layers'}; add "
            "a loss"
        )

    def above(self, index: int, stop: "frozenset[str]") -> set[int]:
        """The first layers of some types met on the ways up from a layer, itself left out."""
        found: set[int] = set()
        seen: set[int] = set()
        waiting = [value.layer for value in self.bottoms[index]]
        while waiting:
            at = waiting.pop()
            if self.layers[at].type in stop:
                found.add(at)
            elif at not in seen:
                seen.add(at)
                waiting += [value.layer for value in self.bottoms[at]]
        return found

    def ancestors(self, index: int, known: Collection[int] = ()) -> set[int]:
        """The layers that a layer's tops are computed from, itself included.

        Args:
            known: layers that are left out, with all that they are computed from.
        """
        found: set[int] = set()
        waiting = [index]
        while waiting:
            at = waiting.pop()
            if at not in found and at not in known:
                found.add(at)
                waiting += [bottom.layer for bottom in self.bottoms[at]]
        return found

    def gates(self) -> Iterator[Value]:
        """The values that every path from the images to the main end passes, from below.

        A value is one if as many paths go through it as there are in all.  A Parameter layer is
        part of the net, and no image.
        """
        end = self.main_end()
        order = [value for tops in self.tops[: end + 1] for value in tops]
        # A loss reads its scores first; labels are no path of the images.
        last = dict.fromkeys(order, 0) | dict.fromkeys(self.bottoms[end][:1], 1)
        inputs = [
            value
            for value in order
            if not self.bottoms[value.layer] and self.layers[value.layer].type != "Parameter"
        ]
        down = dict.fromkeys(order, 0) | dict.fromkeys(inputs, 1)
        for value in order:
            down[value] += sum(down[bottom] for bottom in self.bottoms[value.layer])
        up = last
        for value in reversed(order):
            for bottom in self.bottoms[value.layer]:
                up[bottom] += up[value]
        total = sum(down[value] * up[value] for value in inputs)
        if not total:
            raise BadInput(f"no path leads from the images to layer {self.layers[end].name!r}")
        yield from (value for value in order if down[value] * up[value] == total)
