"""Blobs of layers 1..n from one model into a new one, byte for byte, and the proof that frozen
layers have stayed as they were."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.caffemodel import Layer, Model, open_model
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_write
from caffe_transfer.model_writer import HDF5_SUFFIX, write_model
from caffe_transfer.shapes import Shape
from caffe_transfer.study import LEARNED_LAYERS

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
    source: Path, out: Path, n: int, target: Mapping[str, Sequence[Shape]] | None = None
) -> Transplant:
    """Write the parameters of the source's learned layers 1..n to `out`.

    A name ending in .h5 makes an HDF5 file, any other a binary one.  From binary to binary each
    layer's record is copied as it stands, whatever its format.

    Args:
        target: parameter shapes of the net that will load the file (shapes.parameter_shapes).

    Raises:
        BadInput: n is out of range, or a shape of the target differs; names the layer.
        FormatError: the source is cut off or is no model.
    """
    with open_model(source) as model:
        groups = learned_layers(model)
        if not 1 <= n <= len(groups):
            raise BadInput(
                f"n = {n} cannot be copied: {source} has {len(groups)} learned layers; "
                f"choose 1 to {len(groups)}"
            )
        names = [name for group in groups[:n] for name in group]
        layers = [layer for layer in model.layers if layer.name in names]
        if target is not None:
            _check_shapes(model, layers, target)
        with atomic_write(out) as file:
            write_model(model.name, layers, file, out.suffix == HDF5_SUFFIX, source)
        return Transplant(
            copied=tuple(names),
            fresh=None if target is None else tuple(t for t in target if t not in names),
            ignored=tuple(name for group in groups[n:] for name in group),
        )


def learned_layers(model: Model) -> list[list[str]]:
    """The model's learned layers in order, each with the layers whose parameters go with it.

    Raises:
        BadInput: an HDF5 file of a net whose order is not known.
    """
    if model.format == "HDF5":
        return [[name] for name in _caffenet_order(model)]
    groups: list[list[str]] = []
    for layer in model.with_blobs.values():
        if layer.type in LEARNING_TYPES or not groups:
            groups.append([layer.name])
        else:
            groups[-1].append(layer.name)
    return groups


def _caffenet_order(model: Model) -> list[str]:
    names = list(model.with_blobs)
    if not set(names) <= set(LEARNED_LAYERS):
        raise BadInput(
            f"{model.path} is an HDF5 file, which does not keep the order of layers, and its "
            "layers are not CaffeNet's; use the binary .caffemodel"
        )
    return sorted(names, key=LEARNED_LAYERS.index)


def _check_shapes(
    model: Model, layers: Sequence[Layer], target: Mapping[str, Sequence[Shape]]
) -> None:
    for layer in layers:
        wanted = target.get(layer.name)
        if wanted is None:
            raise BadInput(f"layer {layer.name} of {model.path} is not in the target net")
        found = [blob.shape for blob in layer.blobs]
        if len(found) != len(wanted) or not all(map(same_shape, found, wanted)):
            raise BadInput(
                f"layer {layer.name} has the shape {_shapes(found)} in {model.path} and "
                f"{_shapes(wanted)} in the target net; copy fewer layers or change the net"
            )


def same_shape(found: Shape, wanted: Shape) -> bool:
    """Whether two shapes are one, a legacy shape of four axes being filled up with ones."""
    width = max(len(found), len(wanted))
    if width > 4:
        return found == wanted
    return (1,) * (4 - len(found)) + tuple(found) == (1,) * (4 - len(wanted)) + tuple(wanted)


def _shapes(shapes: Sequence[Shape]) -> str:
    return " + ".join("x".join(map(str, shape)) for shape in shapes)


def blob_hashes(path: Path, layers: Sequence[str]) -> dict[str, list[str]]:
    """SHA-256 of the raw numbers of each blob of the layers that the model has."""
    with open_model(path) as model:
        found = model.with_blobs
        return {
            name: [hashlib.sha256(blob.values.data).hexdigest() for blob in found[name].blobs]
            for name in layers
            if name in found
        }
