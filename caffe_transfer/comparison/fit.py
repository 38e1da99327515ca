"""Whether a model fits a net: parameters by layer and index, as Net::CopyTrainedLayersFrom."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_transfer.comparison.net_shapes import (
    PartialShape,
    images_of,
    partial_parameter_shapes,
)
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.caffemodel import Blob, Layer, Model, open_model
from caffe_transfer.formats.layer_records import same_shape
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.shapes import Shape


@dataclass(frozen=True)
class BlobFit:
    """A blob, such as "conv1 0", and its shapes; None where one of the two lacks it.

    Axes of the net's shape are None where they depend on the size of images that is not known.
    """

    name: str
    in_model: Shape | None
    in_net: PartialShape | None


@dataclass(frozen=True)
class Fit:
    """What a net finds of its parameters in a model.

    Attributes:
        fitting: how many blobs it finds.
        unsure: blobs of which the known axes fit; others depend on the size of the net's images.
        missing: blobs that the model lacks; Caffe draws those of whole layers by their fillers.
        unexpected: blobs that the net lacks; Caffe ignores those of whole layers.
        misshapen: blobs of other shapes, at which Caffe stops.
        miscounted: layers of another number of blobs, at which Caffe stops.
    """

    fitting: int
    missing: tuple[BlobFit, ...]
    unexpected: tuple[BlobFit, ...]
    misshapen: tuple[BlobFit, ...]
    miscounted: tuple[str, ...]
    unsure: tuple[BlobFit, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the net gets all of its parameters, as far as their shapes are known.

        The model may hold more layers.
        """
        return not self.missing and not self.stops

    @property
    def stops(self) -> bool:
        """Whether Caffe refuses to load the model into the net."""
        return bool(self.misshapen or self.miscounted)

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, and `fits`."""
        blobs = {
            key: [vars(blob) for blob in getattr(self, key)]
            for key in ("missing", "unexpected", "misshapen", "unsure")
        }
        return {"fits": self.fits, "fitting": self.fitting, **blobs,
                "miscounted": list(self.miscounted)}  # fmt: skip


def fit(model: Path, net: Path, images: Shape | None = None) -> Fit:
    """Hold the parameters of a model against those of a net, by names and shapes.

    Args:
        net: a prototxt of any age.
        images: (channels, height, width) of the images that it sees, where it does not say;
            without them, axes that depend on them are taken to fit.

    Raises:
        Incomplete, FormatError: a file is missing or is not what it should be.
        BadInput: a layer does not fit its input.
    """
    wanted = read_net(net)
    shapes = _parameter_shapes(wanted, net, images)
    with open_model(model) as found:
        return _held_against(
            found,
            {layer.name: shapes.get(layer.name, ()) for layer in wanted.layer},
            _shared(wanted) if found.format == "HDF5" else set(),
        )


def _parameter_shapes(
    net: pb.NetParameter, path: Path, images: Shape | None
) -> Mapping[str, tuple[PartialShape, ...]]:
    try:
        return partial_parameter_shapes(net, images_of(net, path.parent, images).shape)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def _shared(net: pb.NetParameter) -> set[tuple[str, int]]:
    """Parameters that a layer before them has as well, which HDF5 models leave out."""
    owners: set[str] = set()
    shared = set()
    for layer in net.layer:
        for index, spec in enumerate(layer.param):
            if spec.name in owners:
                shared.add((layer.name, index))
            elif spec.name:
                owners.add(spec.name)
    return shared


def _held_against(
    model: Model, shapes: Mapping[str, tuple[PartialShape, ...]], left_out: set[tuple[str, int]]
) -> Fit:
    layers = {layer.name: layer for layer in model.layers}
    missing, unexpected, misshapen, unsure, miscounted = [], [], [], [], []
    fitting = 0
    for name in dict.fromkeys([*shapes, *model.with_blobs]):
        wanted = dict(enumerate(shapes.get(name, ())))
        given = _blobs(layers.get(name))
        present = set(given) | {i for i in wanted if (name, i) in left_out}
        if name in shapes and name in layers and present != set(wanted):
            miscounted.append(name)
        for index in sorted({*wanted, *given}):
            blob, shape = given.get(index), wanted.get(index)
            row = BlobFit(f"{name} {index}", blob.shape if blob else None, shape)
            if shape is None:
                unexpected.append(row)
            elif blob is None and index not in present:
                missing.append(row)
            elif blob is not None and not _fits(blob, shape):
                misshapen.append(row)
            elif None in shape:
                unsure.append(row)
            else:
                fitting += 1
    return Fit(
        fitting, tuple(missing), tuple(unexpected), tuple(misshapen), tuple(miscounted),
        tuple(unsure),
    )  # fmt: skip


def _blobs(layer: Layer | None) -> dict[int, Blob]:
    return {} if layer is None else layer.by_index


def _fits(blob: Blob, shape: PartialShape) -> bool:
    """Blob::ShapeEquals: only the four numbers of old fit a shape of fewer axes."""
    found = blob.shape[-len(shape) :] if shape else ()
    if len(found) < len(shape):
        found = (1,) * (len(shape) - len(found)) + found
    wanted = tuple(mine if axis is None else axis for axis, mine in zip(shape, found, strict=True))
    return same_shape(blob.shape, wanted) if blob.legacy else blob.shape == wanted
