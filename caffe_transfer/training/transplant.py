"""Parameters of layers below a cut, from one model into a new one, byte for byte."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
    same_shapes,
)
from caffe_transfer.formats.names import check_model_name
from caffe_transfer.nets.layers import (
    WeightLayer,
    members,
    numbered_weight_layers,
    stored_weight_layers,
)
from caffe_transfer.paths import HDF5_SUFFIX
from caffe_transfer.units import shape_text

if TYPE_CHECKING:
    from caffe_transfer.formats.caffemodel import Layer, Model
    from caffe_transfer.nets.shapes import Shape


LISTED = 5


@dataclass(frozen=True)
class Target:
    """What a net takes from a model of its base.

    Attributes:
        copied: names of the layers that it takes, in its order.
        shapes: of the parameters of all its layers, by layer.
        names: what the model calls layers whose names differ.
    """

    copied: tuple[str, ...]
    shapes: "Mapping[str, Sequence[Shape]]"
    names: "Mapping[str, str]" = field(default_factory=dict)

    def name_in_model(self, layer: str) -> str:
        """What the model calls a layer."""
        return self.names.get(layer, layer)


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


def transplant(source: Path, out: Path, n: int | str) -> Transplant:
    """Write the parameters of the first weight layers of a model to `out`.

    A name ending in .h5 makes an HDF5 file, any other a binary one.  From binary to binary each
    layer's record is copied as it stands, whatever its format.

    Args:
        n: how many weight layers, in the file's own order, or the name of the last one.

    Raises:
        BadInput: `out` is no name for a model, or the model has no such layer.
        FormatError: the source is cut off or is no model.
    """
    with _opened(source, out) as (model, buffer):
        names = _first(model, n)
        _write(model, buffer, {name: name for name in names}, out)
        return Transplant(copied=names, fresh=None, ignored=_others(model, names))


def transplant_into(target: Target, source: Path, out: Path) -> Transplant:
    """Write the parameters that a net takes from a model to `out`, under the net's names.

    Raises:
        BadInput: `out` is no name for a model, or a layer is missing or has another shape; names
            the layer.
        FormatError: the source is cut off or is no model.
    """
    with _opened(source, out) as (model, buffer):
        check_model(target, source, stored_shapes(model))
        names = {target.name_in_model(name): name for name in target.copied}
        _write(model, buffer, names, out)
        return Transplant(
            copied=target.copied,
            fresh=tuple(name for name in target.shapes if name not in target.copied),
            ignored=_others(model, names),
        )


def check_model(
    target: Target, source: Path, stored: "Mapping[str, Sequence[tuple[int, ...]]]"
) -> None:
    """Refuse a model that does not have what a net takes from it.

    Args:
        stored: the shapes of the model's parameters, by layer.

    Raises:
        BadInput: layers are missing or have other shapes; names them, and what the model has
            instead.
    """
    wanted = [target.name_in_model(name) for name in target.copied]
    if missing := [name for name in wanted if name not in stored]:
        others = [name for name in stored if name not in target.shapes]
        instead = f" and has {_listed(others)} instead" if others else ""
        raise BadInput(
            f"{source} lacks {_layers(missing)} of the net{instead}; copy fewer layers, or name a "
            "model of this net"
        )
    wrong = [
        f"{name} has the shape {_shapes(stored[in_model])} in {source} and "
        f"{_shapes(target.shapes[name])} in the net"
        for name, in_model in zip(target.copied, wanted, strict=True)
        if not same_shapes(stored[in_model], target.shapes[name])
    ]
    if wrong:
        more = f", and {len(wrong) - 1} more layers differ" if len(wrong) > 1 else ""
        raise BadInput(f"layer {wrong[0]}{more}; copy fewer layers, or name a model of this net")


def stored_shapes(model: "Records | Model") -> "dict[str, list[tuple[int, ...]]]":
    """The shapes of a model's parameters, by layer."""
    return {name: [blob.shape for blob in each.blobs] for name, each in _with_blobs(model).items()}


@contextmanager
def _opened(source: Path, out: Path) -> "Iterator[tuple[Records | Model, memoryview]]":
    """A model by its records where they can be copied as they stand, else by its numbers."""
    check_model_name(out)
    with mapped(source) as buffer:
        if out.suffix != HDF5_SUFFIX and not is_hdf5(buffer):
            yield read_records(source, buffer), buffer
        else:
            yield _with_numbers(source), buffer


def _with_numbers(source: Path) -> "Model":
    # Imported lazily: numpy and h5py take longer to import than a model to copy.
    from caffe_transfer.formats.caffemodel import open_model

    with open_model(source) as model:
        return model


def _write(
    model: "Records | Model", buffer: memoryview, names: "Mapping[str, str]", out: Path
) -> None:
    """Write the layers that are keys of `names`, under the names that are its values."""
    renamed = any(old != new for old, new in names.items())
    if isinstance(model, Records) and renamed:
        model = _with_numbers(model.path)
    with atomic_write(out) as file:
        if isinstance(model, Records):
            _copy(model, names, buffer, file)
        else:
            _convert(model, names, file, out.suffix == HDF5_SUFFIX)


def _copy(model: Records, names: "Mapping[str, str]", buffer: memoryview, file: BinaryIO) -> None:
    file.write(net_name(model.name))
    layers = [layer for layer in model.layers if layer.name in names]
    with model.path.open("rb") as source:
        copy_records(layers, buffer, source, file)


def _convert(model: "Model", names: "Mapping[str, str]", file: BinaryIO, to_hdf5: bool) -> None:
    from caffe_transfer.formats.writer import write_model

    layers = [
        replace(layer, name=names[layer.name]) for layer in model.layers if layer.name in names
    ]
    write_model(model.name, layers, file, to_hdf5)


def _first(model: "Records | Model", n: int | str) -> tuple[str, ...]:
    """The names of the first layers, up to the n-th weight layer or to the one called `n`."""
    layers = _layers_of(model)
    if isinstance(n, str):
        numbers = [number for number, layer in enumerate(layers, 1) if n in layer.members]
        if not numbers:
            names = [layer.name for layer in layers]
            raise BadInput(
                f"{model.path} has no layer {n!r} with parameters; it has {_listed(names)}; to "
                "name a cut of the net, give its folder with --into"
            )
        n = numbers[0]
    if not 1 <= n <= len(layers):
        raise BadInput(
            f"n = {n} cannot be copied: {model.path} has {len(layers)} weight layers; choose 1 to "
            f"{len(layers)}"
        )
    return members(layers[:n])


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


def _others(model: "Records | Model", names: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in _with_blobs(model) if name not in names)


def _layers(names: Sequence[str]) -> str:
    return f"layer{'s' if len(names) > 1 else ''} {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    """Names, the first few of many."""
    more = f", ... ({len(names)})" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}"


def _shapes(shapes: "Sequence[Shape]") -> str:
    return " + ".join(shape_text(shape) for shape in shapes)
