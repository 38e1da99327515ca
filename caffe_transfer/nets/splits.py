"""Split layers: where several layers read one blob, Caffe gives each of them a copy of its own.

It changes the net that it runs and writes into models (InsertSplits, util/insert_splits.cpp).
"""

from collections import Counter

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

_Top = tuple[int, int]  # index of the layer, index among its tops


def insert_splits(net: pb.NetParameter) -> pb.NetParameter:
    """Return a copy of a net with a Split layer after each layer whose top several layers read.

    A loss weight that the net gives to such a top counts as a reader, and moves to the first copy.
    Bottoms that no layer makes are left as they are.

    Args:
        net: the layers of one phase, format V2.

    Raises:
        BadInput: a layer changes a blob in place that another one reads as well; names both.
    """
    sources, counts = _wiring(net)
    result = pb.NetParameter()
    result.CopyFrom(net)
    result.ClearField("layer")
    taken: Counter[_Top] = Counter()
    for index, given in enumerate(net.layer):
        layer = result.layer.add()
        layer.CopyFrom(given)
        for place, blob in enumerate(given.bottom):
            source = sources.get((index, place))
            if source is not None and counts[source] > 1:
                _check_not_in_place(given, blob)
                maker = net.layer[source[0]].name
                layer.bottom[place] = _copy_name(maker, blob, source[1], taken[source])
                taken[source] += 1
        for place, weight in enumerate(_loss_weights(given)):
            top = (index, place)
            if counts[top] > 1:
                _add_split(result, given, place, counts[top], weight)
                if weight:
                    layer.ClearField("loss_weight")
                    taken[top] += 1
    return result


def _wiring(net: pb.NetParameter) -> tuple[dict[tuple[int, int], _Top], Counter[_Top]]:
    """The top behind each bottom (index of the layer, index of the bottom), and tops' readers."""
    sources: dict[tuple[int, int], _Top] = {}
    counts: Counter[_Top] = Counter()
    last: dict[str, _Top] = {}
    for index, layer in enumerate(net.layer):
        for place, blob in enumerate(layer.bottom):
            if blob in last:
                sources[index, place] = last[blob]
                counts[last[blob]] += 1
        last.update({blob: (index, place) for place, blob in enumerate(layer.top)})
        for place, weight in enumerate(_loss_weights(layer)):
            counts[index, place] += weight != 0
    return sources, counts


def _loss_weights(layer: pb.LayerParameter) -> list[float]:
    """The weight that the net gives to each named top, 0 where it gives none."""
    given = list(layer.loss_weight[: len(layer.top)])
    return given + [0.0] * (len(layer.top) - len(given))


def _check_not_in_place(layer: pb.LayerParameter, blob: str) -> None:
    if blob in layer.top:
        raise BadInput(
            f"layer {layer.name!r} changes blob {blob!r} in place, which another layer reads as "
            "well; give its top a name of its own"
        )


def _add_split(
    net: pb.NetParameter, layer: pb.LayerParameter, place: int, count: int, weight: float
) -> None:
    blob = layer.top[place]
    split = net.layer.add(
        name=f"{blob}_{layer.name}_{place}_split", type="Split", bottom=[blob],
        top=[_copy_name(layer.name, blob, place, copy) for copy in range(count)],
    )  # fmt: skip
    if weight:
        split.loss_weight.extend([weight] + [0.0] * (count - 1))


def _copy_name(layer: str, blob: str, place: int, copy: int) -> str:
    return f"{blob}_{layer}_{place}_split_{copy}"
