"""One shape rule per layer type, and the registry that holds them."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.units import shape_text

_MOST_AXES, _MOST_NUMBERS = 32, 2**31 - 1  # kMaxBlobAxes and INT_MAX
Shape = tuple[int, ...]
Count = tuple[int, int | None]  # least and most; None: any number


@dataclass(frozen=True)
class Shapes:
    """What a layer makes of its bottoms.

    Attributes:
        tops: shapes of its tops, batch axis included; a scalar is ().
        parameters: shapes of its parameter blobs, in Caffe's order.
    """

    tops: tuple[Shape, ...]
    parameters: tuple[Shape, ...] = ()


Infer = Callable[[pb.LayerParameter, Sequence[Shape]], Shapes]


@dataclass(frozen=True)
class _Rule:
    """How to infer a type's shapes, and how many bottoms and tops it takes."""

    infer: Infer
    bottoms: Count
    tops: Count
    is_loss: bool
    from_files: bool


_RULES: dict[str, _Rule] = {}
_UNSUPPORTED = {
    "WindowData": (
        "cuts windows out of images, which is not supported; write the windows as images of their "
        "own, and read them by an ImageData layer"
    ),
}


def rule(
    *types: str, bottoms: Count = (1, 1), tops: Count = (1, 1), is_loss: bool = False,
    from_files: bool = False,
) -> Callable[[Infer], Infer]:  # fmt: skip
    """Register a function from a layer and its bottoms' shapes to its `Shapes`.

    Args:
        is_loss: the first top has loss weight 1 by default, and may be left out.
        from_files: takes the shapes of the items that the layer reads, instead of bottoms.
    """

    def register(function: Infer) -> Infer:
        _RULES.update(dict.fromkeys(types, _Rule(function, bottoms, tops, is_loss, from_files)))
        return function

    return register


def infer(
    layer: pb.LayerParameter, bottoms: Sequence[Shape], items: Sequence[Shape] | None = None
) -> Shapes:
    """Infer the shapes of a layer's tops and parameters.

    Args:
        layer: the settings, format V2.
        bottoms: the shapes of its bottoms, batch axis included.
        items: for Data, ImageData and HDF5Data, what their files hold: the shape of one item of
            each top, without batch axis.

    Raises:
        BadInput: the type is unknown, or a number, setting or shape does not fit; names the layer.
    """
    found = _rule_of(layer)
    _check_count(layer, "bottoms", len(bottoms), found.bottoms)
    if layer.top or not found.is_loss:  # nets of 2014 do not name the tops of losses
        _check_count(layer, "tops", len(layer.top), found.tops)
    if found.from_files and items is None:
        raise refuse(layer, "reads files, whose shape the net does not declare; give the shape")
    shapes = found.infer(layer, items if found.from_files and items is not None else bottoms)
    for name, blobs in (("top", shapes.tops), ("parameter", shapes.parameters)):
        for shape in blobs:
            if why := _no_blob(shape):
                raise refuse(layer, f"has a {name} of shape {shape_text(shape)}; {why}")
    return shapes


def is_loss(layer: pb.LayerParameter) -> bool:
    """Whether the layer's first top counts in the loss unless loss_weight says otherwise.

    Raises:
        BadInput: the type is unknown.
    """
    return _rule_of(layer).is_loss


def known_types() -> list[str]:
    """The names of all layer types that have a shape rule."""
    return sorted(_RULES)


def refuse(layer: pb.LayerParameter, reason: str) -> BadInput:
    """The error for a layer whose settings or bottoms do not fit."""
    return BadInput(f"layer {layer.name!r} ({layer.type}) {reason}")


def canonical_axis(layer: pb.LayerParameter, axis: int, shape: Shape) -> int:
    """A blob axis, which may count from the end, as an index from 0.

    Raises:
        BadInput: there is no such axis.
    """
    if not -len(shape) <= axis < len(shape):
        raise refuse(layer, f"has axis {axis}, but its bottom has the shape {shape}")
    return axis % len(shape)


def unknown_type(layer: pb.LayerParameter) -> BadInput:
    """The error for a layer of a type that has no shape rule; offers similar names."""
    if layer.type in _UNSUPPORTED:
        return refuse(layer, _UNSUPPORTED[layer.type])
    names = {name.lower(): name for name in known_types()}
    near = difflib.get_close_matches(layer.type.lower(), names, cutoff=0.7)
    offer = "Caffe has no such layer"
    if near:
        offer = f"did you mean {' or '.join(names[name] for name in near)}?"
    return BadInput(f"layer {layer.name!r} has the unknown type {layer.type!r}; {offer}")


def _rule_of(layer: pb.LayerParameter) -> _Rule:
    if layer.type not in _RULES:
        raise unknown_type(layer)
    return _RULES[layer.type]


def _no_blob(shape: Shape) -> str | None:
    """Why no blob can have a shape (Blob::Reshape in blob.cpp); None if one can."""
    if len(shape) > _MOST_AXES:
        return f"a blob has at most {_MOST_AXES} axes"
    count = 1
    for size in shape:
        if size < 0:
            return "no axis can be negative"
        if count and size > _MOST_NUMBERS // count:
            return f"a blob holds at most {_MOST_NUMBERS:,} numbers"
        count *= size
    return None


def _check_count(layer: pb.LayerParameter, what: str, found: int, count: Count) -> None:
    least, most = count
    if found < least or (most is not None and found > most):
        wanted = f"{least}" if least == most else f"{least} to {most or 'any number'}"
        raise refuse(layer, f"has {found} {what}; it takes {wanted}")
