"""What is in a file of Caffe's."""

from pathlib import Path
from typing import TypeAlias

from caffe_transfer.comparison.contents import (
    DatabaseContents,
    MeanContents,
    ModelContents,
    StateContents,
    database_contents,
    mean_contents,
    model_contents,
    state_contents,
)
from caffe_transfer.comparison.net_contents import NetContents, SolverContents, prototxt_contents
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.kinds import Kind, kind_of
from caffe_transfer.nets.shapes import Shape

Contents: TypeAlias = (
    ModelContents | StateContents | MeanContents | DatabaseContents | NetContents | SolverContents
)


def describe(path: Path, *, stats: bool = False, images: Shape | None = None) -> Contents:
    """Read what a caffemodel, solverstate, binaryproto, LMDB (or view) or prototxt holds.

    Args:
        stats: read all numbers and give statistics of each blob.
        images: (channels, height, width) of the images that a net sees, where it does not say.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is broken, or not what its name says.
        BadInput: the file is not of a kind that Caffe uses, or has no blobs for `stats`.
    """
    kind = kind_of(path)
    if kind not in (Kind.MODEL, Kind.STATE, Kind.MEAN, Kind.LMDB, Kind.PROTOTXT):
        raise BadInput(f"{path} is not a caffemodel, solverstate, binaryproto, LMDB or prototxt")
    if stats and kind in (Kind.LMDB, Kind.PROTOTXT):
        raise BadInput(f"{path} has no blobs; statistics are of models, solver states and means")
    match kind:
        case Kind.MODEL:
            return model_contents(path, stats)
        case Kind.STATE:
            return state_contents(path, stats)
        case Kind.MEAN:
            return mean_contents(path, stats)
        case Kind.LMDB:
            return database_contents(path)
        case _:
            return prototxt_contents(path, images)
