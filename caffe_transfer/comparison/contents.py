"""What Caffe's binary files hold, as plain data; net_contents.py has nets and solvers."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

from caffe_transfer.comparison.statistics import Statistics, statistics_of
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.caffemodel import Blob, Model, open_model
from caffe_transfer.formats.datum import parsed
from caffe_transfer.formats.lmdb import open_records
from caffe_transfer.formats.solverstate import open_state
from caffe_transfer.nets.layers import numbered_weight_layers, stored_weight_layers


@dataclass(frozen=True)
class BlobContents:
    """One array: its shape as stored, "float32" or "float64", and statistics where asked for."""

    shape: tuple[int, ...]
    dtype: str
    statistics: Statistics | None = None

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class LayerContents:
    """A layer of a model.

    Attributes:
        n: the number of the weight layer that its parameters belong to, as `copy --n` counts;
            None of layers without parameters, and where an HDF5 file does not tell the order.
        type: as stored; "" in HDF5.
    """

    name: str
    type: str
    n: int | None
    blobs: tuple[BlobContents, ...]


@dataclass(frozen=True)
class ModelContents:
    """A model; `format` is V0, V1, V2 or HDF5, and layers are in the order of the file."""

    format: str
    name: str
    layers: tuple[LayerContents, ...]
    kind: str = "caffemodel"

    @property
    def parameters(self) -> int:
        """How many numbers all blobs have."""
        return sum(blob.size for layer in self.layers for blob in layer.blobs)

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, and the count of parameters."""
        return asdict(self) | {"parameters": self.parameters}


@dataclass(frozen=True)
class StateContents:
    """A solver state; `history` has momentum and the like, a blob a parameter or two."""

    iteration: int
    current_step: int
    learned_net: str
    history: tuple[BlobContents, ...]
    kind: str = "solverstate"

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


@dataclass(frozen=True)
class MeanContents:
    """A mean image; `channel_means` are the means of its planes."""

    blob: BlobContents
    channel_means: tuple[float, ...]
    kind: str = "binaryproto"

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


@dataclass(frozen=True)
class RecordContents:
    """A record of a database; an encoded image does not say its shape (channels, height, width)."""

    key: str
    encoded: bool
    shape: tuple[int, int, int]
    label: int


@dataclass(frozen=True)
class DatabaseContents:
    """An LMDB, or a view of the one at `view_of`; `first` is None if it is empty."""

    records: int
    view_of: str | None
    first: RecordContents | None
    kind: str = "LMDB"

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def model_contents(path: Path, stats: bool) -> ModelContents:
    """Read a model; errors are those of `open_model`."""
    with open_model(path) as model:
        numbers = _numbers(model)
        layers = (
            LayerContents(each.name, each.type, numbers.get(each.name), _blobs(each.blobs, stats))
            for each in model.layers
        )
        return ModelContents(model.format, model.name, tuple(layers))


def state_contents(path: Path, stats: bool) -> StateContents:
    """Read a solver state; errors are those of `open_state`."""
    with open_state(path) as state:
        return StateContents(
            state.iteration, state.current_step, state.learned_net, _blobs(state.history, stats)
        )


def mean_contents(path: Path, stats: bool) -> MeanContents:
    """Read a mean; errors are those of `read_blob`."""
    mean = read_blob(path)
    planes = mean.values.reshape(mean.shape)[0]
    return MeanContents(_blob(mean, stats), tuple(float(plane.mean()) for plane in planes))


def database_contents(path: Path) -> DatabaseContents:
    """Read the first record of a database; errors are those of `open_records`."""
    with open_records(path) as records:
        first = None
        for key, value, label in islice(records, 1):
            datum = parsed(bytes(value), records.name(key))
            first = RecordContents(
                bytes(key).decode(errors="replace"),
                datum.encoded,
                (datum.channels, datum.height, datum.width),
                datum.label if label is None else label,
            )
        view = None if records.view is None else str(records.view.database)
        return DatabaseContents(len(records), view, first)


def _numbers(model: Model) -> dict[str, int]:
    """Layer -> the number of the weight layer that it belongs to."""
    found = (
        numbered_weight_layers(model.with_blobs)
        if model.format == "HDF5"
        else stored_weight_layers(model.layers)
    )
    return {name: n for n, layer in enumerate(found or (), 1) for name in layer.members}


def _blobs(blobs: Iterable[Blob], stats: bool) -> tuple[BlobContents, ...]:
    return tuple(_blob(blob, stats) for blob in blobs)


def _blob(blob: Blob, stats: bool) -> BlobContents:
    found = statistics_of(blob) if stats else None
    return BlobContents(blob.shape, str(blob.values.dtype), found)
