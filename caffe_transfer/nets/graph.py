"""A net as a graph: which layer reads what, and which blobs every path to the loss passes.

A blob that layers change in place is several values under one name; here each is a node of its own.
Nothing here imports protobuf: `copy` starts faster than that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe_transfer.errors import BadInput

if TYPE_CHECKING:
    from caffe_transfer.formats.proto import caffe_pb2 as pb


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
        layers: as the net has them.
        bottoms: for each layer the values that it reads; several for one bottom where layers of
            different phases make it.
        tops: for each layer the values that it makes.
    """

    def __init__(self, net: "pb.NetParameter") -> None:
        self.layers: Sequence[pb.LayerParameter] = list(net.layer)
        self.bottoms: list[tuple[Value, ...]] = []
        self.tops: list[tuple[Value, ...]] = []
        self._current: dict[str, tuple[Value, ...]] = {}
        for index, layer in enumerate(self.layers):
            read = tuple(value for blob in layer.bottom for value in self._current.get(blob, ()))
            made = tuple(Value(blob, index) for blob in layer.top)
            self.bottoms.append(read)
            self.tops.append(made)
            for value in made:
                # Data layers of both phases make blobs of one name.
                others = () if layer.bottom else self._current.get(value.blob, ())
                self._current[value.blob] = (*others, value)

    def losses(self) -> list[int]:
        """The indices of the layers whose tops are minimized."""
        return [index for index in range(len(self.layers)) if self.loss_weight(index)]

    def loss_weight(self, index: int) -> float:
        """The weight of a layer's first loss; 0 for a layer that is none."""
        layer = self.layers[index]
        given = max(layer.loss_weight, default=0.0)
        return given if layer.loss_weight else float(layer.type.endswith("Loss"))

    def ends(self) -> list[int]:
        """The indices of the layers that no other one reads."""
        read = {value.layer for values in self.bottoms for value in values}
        return [index for index in range(len(self.layers)) if index not in read]

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

    def ancestors(self, index: int) -> set[int]:
        """The layers that a layer's tops are computed from, itself included."""
        found: set[int] = set()
        waiting = [index]
        while waiting:
            at = waiting.pop()
            if at not in found:
                found.add(at)
                waiting += [bottom.layer for bottom in self.bottoms[at]]
        return found

    def gates(self) -> Iterator[Value]:
        """The values that every path from the images to the main end passes, from below.

        A value is one if as many paths go through it as there are in all.
        """
        end = self.main_end()
        order = [value for tops in self.tops[: end + 1] for value in tops]
        # A loss reads its scores first; labels are no path of the images.
        last = dict.fromkeys(order, 0) | dict.fromkeys(self.bottoms[end][:1], 1)
        inputs = [v for v in order if not self.bottoms[v.layer] and v is self.tops[v.layer][0]]
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
