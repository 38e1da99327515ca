"""The shapes of a net as far as they are known without its data, layer by layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from caffe_transfer.comparison.contents import database_contents
from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.phases import TEST, TRAIN, phase_layers, phases_of
from caffe_transfer.nets.shapes import (
    BlobShapes,
    Shape,
    Shapes,
    data_items,
    infer,
    parameter_shapes,
)
from caffe_transfer.nets.sizes import image_shape
from caffe_transfer.units import shape_text

PartialShape: TypeAlias = tuple[int | None, ...]

# Axes that come out alike from images of both shapes depend on neither.
_ONE, _OTHER = (12, 504, 504), (24, 720, 792)
_FROM_FILES = ("Data", "ImageData", "HDF5Data")


class Images(NamedTuple):
    """The images that a net sees.

    Attributes:
        shape: (channels, height, width); None where the net declares its inputs, or does not say.
        note: what is assumed or unknown; "" if nothing is.
    """

    shape: Shape | None
    note: str


@dataclass(frozen=True)
class LayerShapes:
    """The shapes of a layer's tops and parameters; None where nothing is known."""

    tops: tuple[PartialShape | None, ...] | None = None
    parameters: tuple[Shape, ...] | None = None


def images_of(net: pb.NetParameter, folder: Path, given: Shape | None = None) -> Images:
    """The images that the first data layer gives: as given, as in its database, or by crop_size.

    Args:
        folder: of the prototxt, where its database may lie; else it is looked for from here.
    """
    readers = [layer for layer in net.layer if layer.type in _FROM_FILES]
    if given is not None or not readers:
        return Images(given, "")
    layer = readers[0]
    stored = _stored_shape(layer, folder)
    side = layer.transform_param.crop_size
    if stored is not None:
        return Images((stored[0], side, side) if side else stored, "")
    source = layer.data_param.source or layer.image_data_param.source
    where = f"{source} is not here" if source else "its files are not read"
    shape = image_shape(net)
    if shape is None:
        return Images(
            None,
            f"layer {layer.name}: {where}, and the net does not say the size of its images; give "
            "it with --shape C,H,W; what depends on it is shown as ?",
        )
    return Images(
        shape,
        f"layer {layer.name}: {where}; its images are taken for {shape_text(shape)}, by crop_size",
    )


def _stored_shape(layer: pb.LayerParameter, folder: Path) -> Shape | None:
    """The shape of the first raw image of a Data layer's LMDB, if that can be read here."""
    source = layer.data_param.source
    if layer.type != "Data" or not source:
        return None
    for path in (Path(source), folder / source):
        try:
            first = database_contents(path).first if path.is_dir() else None
        except (CaffeTransferError, OSError):  # a LevelDB, damaged, or no path at all
            continue
        if first is not None and not first.encoded:
            return first.shape
    return None


def net_shapes(
    net: pb.NetParameter, images: Shape | None
) -> tuple[dict[int, LayerShapes], list[str]]:
    """Follow a net in both phases, as far as it goes.

    Args:
        images: (channels, height, width) of the images that it reads from files; None: unknown.

    Returns:
        What is known of each layer, by its index, and what does not fit.
    """
    if images is not None or not any(layer.type in _FROM_FILES for layer in net.layer):
        found, problems = _both_phases(net, images)
        return {index: _known(shapes, shapes) for index, shapes in found.items()}, problems
    (one, problems), (other, _) = _both_phases(net, _ONE), _both_phases(net, _OTHER)
    return {index: _known(shapes, other.get(index)) for index, shapes in one.items()}, problems


def partial_parameter_shapes(
    net: pb.NetParameter, images: Shape | None
) -> Mapping[str, tuple[PartialShape, ...]]:
    """The shapes of all layers' parameters, of those in TEST alone as well.

    Args:
        images: (channels, height, width) of the images that it reads from files; None: unknown,
            so that axes that depend on them are None.

    Raises:
        BadInput: a layer does not fit its input.
    """
    if images is not None or not any(layer.type in _FROM_FILES for layer in net.layer):
        return _parameters(net, images)
    one, other = _parameters(net, _ONE), _parameters(net, _OTHER)
    return {name: tuple(map(_same_axes, one[name], other[name])) for name in one}


def _parameters(net: pb.NetParameter, images: Shape | None) -> dict[str, tuple[Shape, ...]]:
    of_test = parameter_shapes(net, images, TEST)
    return {**parameter_shapes(net, images, TRAIN), **of_test}


def _both_phases(
    net: pb.NetParameter, images: Shape | None
) -> tuple[dict[int, Shapes | None], list[str]]:
    found: dict[int, Shapes | None] = {}
    problems: dict[str, None] = {}
    phases = [
        phase
        for phase in (TRAIN, TEST)
        if any(not layer.bottom for layer in phase_layers(net, phase))
    ]
    for phase in phases or [TRAIN]:
        for index, shapes, problem in _follow(net, phase, images):
            found.setdefault(index, shapes)
            if problem:
                problems[problem] = None
    return found, list(problems)


def _follow(
    net: pb.NetParameter, phase: int, images: Shape | None
) -> Iterator[tuple[int, Shapes | None, str]]:
    """Index, shapes and problem of each layer of a phase; what reads unknown blobs is unknown."""
    blobs = BlobShapes()
    unknown: set[str] = set()
    for index, layer in enumerate(net.layer):
        if phase not in phases_of(net, layer):
            continue
        shapes, problem = None, ""
        if unknown.isdisjoint(layer.bottom):
            try:
                shapes = infer(layer, blobs.read(layer), data_items(layer, images))
                blobs.write(layer, shapes.tops)
            except BadInput as error:
                shapes, problem = None, str(error)
        if shapes is None:
            unknown |= set(layer.top)
        yield index, shapes, problem


def _known(one: Shapes | None, other: Shapes | None) -> LayerShapes:
    """What two shapes of a layer have in common."""
    if one is None or other is None:
        return LayerShapes()
    tops = tuple(map(_common, one.tops, other.tops))
    return LayerShapes(tops, one.parameters if one.parameters == other.parameters else None)


def _common(one: Shape, other: Shape) -> PartialShape | None:
    return _same_axes(one, other) if len(one) == len(other) else None


def _same_axes(one: Shape, other: Shape) -> PartialShape:
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))
