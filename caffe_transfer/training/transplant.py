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
from caffe_transfer.nets.layers import (
    WeightLayer,
    members,
    numbered_weight_layers,
    stored_weight_layers,
)
from caffe_transfer.paths import HDF5_SUFFIX

if TYPE_CHECKING:
    from caffe_transfer.formats.caffemodel import Layer, Model
    from caffe_transfer.nets.shapes import Shape


@dataclass(frozen=True)
class TargetNet:
    """The net that will load a model: its weight layers, and the shapes of parameters by layer."""

    layers: tuple[WeightLayer, ...]
    shapes: "Mapping[str, Sequence[Shape]]"


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

    def as_dict(self) -> dict[str, tuple[str, ...] | None]:
        """The attributes by name."""
        return {"copied": self.copied, "fresh": self.fresh, "ignored": self.ignored}


def transplant(source: Path, out: Path, n: int, target: TargetNet | None = None) -> Transplant:
    """Write the parameters of weight layers 1..n of a model to `out`.

    A name ending in .h5 makes an HDF5 file, any other a binary one.  From binary to binary each
    layer's record is copied as it stands, whatever its format.

    Args:
        target: counts the layers and checks the shapes; without it the model's own order counts.

    Raises:
        BadInput: `out` is no name for a model, n is out of range, or a layer is missing or has
            another shape; names the layer.
        FormatError: the source is cut off or is no model.
    """
    check_model_name(out)
    with mapped(source) as buffer:
        in_binary = out.suffix != HDF5_SUFFIX and not is_hdf5(buffer)
        model = read_records(source, buffer) if in_binary else _with_numbers(source)
        layers = target.layers if target else _layers_of(model)
        if not 1 <= n <= len(layers):
            whose = "the target net" if target else source
            raise BadInput(
                f"n = {n} cannot be copied: {whose} has {len(layers)} weight layers; "
                f"choose 1 to {len(layers)}"
            )
        names = members(layers[:n])
        if target is not None:
            _check_shapes(model, names, target.shapes)
        with atomic_write(out) as file:
            if isinstance(model, Records):
                _copy(model, names, buffer, file)
            else:
                _convert(model, names, file, out.suffix == HDF5_SUFFIX)
        return Transplant(
            copied=names,
            fresh=None if target is None else tuple(t for t in target.shapes if t not in names),
            ignored=tuple(name for name in _with_blobs(model) if name not in names),
        )


def _with_numbers(source: Path) -> "Model":
    # Imported lazily: numpy and h5py take longer to import than a model to copy.
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


def _layers_of(model: "Records | Model") -> tuple[WeightLayer, ...]:
    if model.format != "HDF5":
        return stored_weight_layers(model.layers)
    numbered = numbered_weight_layers(_with_blobs(model))
    if numbered is None:
        raise BadInput(
            f"{model.path} is an HDF5 file, which keeps no order of layers, and the names of its "
            "layers do not end in numbers; name the net with --into, or use the binary .caffemodel"
        )
    return numbered


def _with_blobs(model: "Records | Model") -> "dict[str, LayerRecord | Layer]":
    return {layer.name: layer for layer in model.layers if layer.blobs}


def _check_shapes(
    model: "Records | Model", names: Sequence[str], target: "Mapping[str, Sequence[Shape]]"
) -> None:
    layers = _with_blobs(model)
    for name in names:
        if name not in layers:
            raise BadInput(
                f"layer {name} of the target net is not in {model.path}; copy fewer layers, or "
                "name a model of this net"
            )
        wanted = target[name]
        found = [blob.shape for blob in layers[name].blobs]
        if len(found) != len(wanted) or not all(map(same_shape, found, wanted)):
            raise BadInput(
                f"layer {name} has the shape {_shapes(found)} in {model.path} and "
                f"{_shapes(wanted)} in the target net; copy fewer layers or change the net"
            )


def _shapes(shapes: "Sequence[Shape]") -> str:
    return " + ".join("x".join(map(str, shape)) for shape in shapes)
