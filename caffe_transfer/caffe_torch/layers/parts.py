"""Blobs as rows of channels, part by part."""

import math
from collections.abc import Iterator

from torch import Tensor

_VALUES = 1 << 18  # of a part on a CPU: they stay in its cache
_ROWS = 1 << 12  # of a part on a CPU: so few that their plain sum in float32 is right to 1e-6


def as_rows(blob: Tensor) -> Tensor:
    """(batch, channels, ...) as (rows, channels): a view if the channels lie innermost."""
    return blob.movedim(1, -1).reshape(-1, blob.shape[1])


def as_matrix(blob: Tensor) -> Tensor:
    """(batch, ...) as (batch, values of one), which is one value where there is no other axis."""
    return blob.reshape(len(blob), math.prod(blob.shape[1:]))


def row_parts(*blobs: Tensor) -> Iterator[list[Tensor]]:
    """The same rows of all blobs, (rows, channels), in parts on a CPU, else in one piece."""
    number, channels = blobs[0].shape
    each = max(1, min(_ROWS, _VALUES // channels)) if blobs[0].device.type == "cpu" else number
    for start in range(0, number, each):
        yield [blob[start : start + each] for blob in blobs]
