"""Blobs of layers 1..n from one model into a new one, byte for byte."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.layer_records import (
    LayerRecord,
    Records,
    copy_records,
    is_hdf5,
    mapped,
    net_name,
    read_records,
    same_shape,
)
from caffe_transfer.formats.names import check_model_name
from caffe_transfer.paths import HDF5_SUFFIX

# What only some files need is imported for them: `copy` is mostly quicker than these imports.
if TYPE_CHECKING:
    from caffe_transfer.formats.caffemodel import Layer, Model
    from caffe_transfer.nets.shapes import Shape

# What a researcher counts as a layer: it has weights of its own.  BatchNorm, Scale, Bias and
# PReLU hold parameters too, but belong to the layer below them.
LEARNING_TYPES = {
    "Convolution", "CONVOLUTION", "conv",
    "InnerProduct", "INNER_PRODUCT", "innerproduct",
    "Deconvolution", "DECONVOLUTION",
}  # fmt: skip


@dataclass(frozen=True)
class Transplant:
    """What became of the layers: names in the order of the net.

    Attributes:
        copied: now in the new file.
        fresh: the target net has them and the new file has not: its fillers draw them; None
            where no target net was given.
        ignored: the source has them and they were not asked for.
    """

    copied: tuple[str, ...]
    fresh: tuple[str, ...] | None
    ignored: tuple[str, ...]


def transplant(
    source: Path, out: Path, n: int, target: "Mapping[str, Sequence[Shape]] | None" = None
) -> Transplant:
    """Write the parameters of the source's learned layers 1..n to `out`.

    A name ending in .h5 makes an HDF5 file, any other a binary one.  From binary to binary each
    layer's record is copied as it stands, whatever its format.

    Args:
        target: parameter shapes of the net that will load the file (shapes.parameter_shapes).

    Raises:
        BadInput: `out` is no name for a model, n is out of range, or a shape of the target
            differs; names the layer.
        FormatError: the source is cut off or is no model.
    """
    check_model_name(out)
    with mapped(source) as buffer:
        in_binary = out.suffix != HDF5_SUFFIX and not is_hdf5(buffer)
        model = read_records(source, buffer) if in_binary else _with_numbers(source)
        groups = learned_layers(model)
        if not 1 <= n <= len(groups):
            raise BadInput(
                f"n = {n} cannot be copied: {source} has {len(groups)} learned layers; "
                f"choose 1 to {len(groups)}"
            )
        names = [name for group in groups[:n] for name in group]
        if target is not None:
            _check_shapes(model, names, target)
        with atomic_write(out) as file:
            if isinstance(model, Records):
                _copy(model, names, buffer, file)
            else:
                _convert(model, names, file, out.suffix == HDF5_SUFFIX)
        return Transplant(
            copied=tuple(names),
            fresh=None if target is None else tuple(t for t in target if t not in names),
            ignored=tuple(name for group in groups[n:] for name in group),
        )


def _with_numbers(source: Path) -> "Model":
    from caffe_transfer.formats.caffemodel import open_model

    with open_model(source) as model:
        return model


def _copy(model: Records, names: Sequence[str], buffer: memoryview, file: BinaryIO) -> None:
    file.write(net_name(model.name))
    layers = [layer for layer in model.layers if layer.name in names]
    with model.path.open("rb") as source:
        copy_records(layers, buffer, source, file)


def _convert(model: "Model", names: Sequence[str], file: BinaryIO, to_hdf5: bool) -> None:
    from caffe_transfer.formats.writer import write_model

    layers = [layer for layer in model.layers if layer.name in names]
    write_model(model.name, layers, file, to_hdf5)


def learned_layers(model: "Records | Model") -> list[list[str]]:
    """The model's learned layers in order, each with the layers whose parameters go with it.

    Raises:
        BadInput: an HDF5 file of a net whose order is not known.
    """
    if model.format == "HDF5":
        return [[name] for name in _caffenet_order(model)]
    groups: list[list[str]] = []
    for layer in _with_blobs(model).values():
        if layer.type in LEARNING_TYPES or not groups:
            groups.append([layer.name])
        else:
            groups[-1].append(layer.name)
    return groups


def _with_blobs(model: "Records | Model") -> "dict[str, LayerRecord | Layer]":
    return {layer.name: layer for layer in model.layers if layer.blobs}


def _caffenet_order(model: "Records | Model") -> list[str]:
    from caffe_transfer.studies.network import LEARNED_LAYERS

    names = list(_with_blobs(model))
    if not set(names) <= set(LEARNED_LAYERS):
        raise BadInput(
            f"{model.path} is an HDF5 file, which does not keep the order of layers, and its "
            "layers are not CaffeNet's; use the binary .caffemodel"
        )
    return sorted(names, key=LEARNED_LAYERS.index)


def _check_shapes(
    model: "Records | Model", names: Sequence[str], target: "Mapping[str, Sequence[Shape]]"
) -> None:
    layers = _with_blobs(model)
    for name in names:
        wanted = target.get(name)
        if wanted is None:
            raise BadInput(f"layer {name} of {model.path} is not in the target net")
        found = [blob.shape for blob in layers[name].blobs]
        if len(found) != len(wanted) or not all(map(same_shape, found, wanted)):
            raise BadInput(
                f"layer {name} has the shape {_shapes(found)} in {model.path} and "
                f"{_shapes(wanted)} in the target net; copy fewer layers or change the net"
            )


def _shapes(shapes: "Sequence[Shape]") -> str:
    return " + ".join("x".join(map(str, shape)) for shape in shapes)
