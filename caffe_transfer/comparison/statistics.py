"""What the numbers of a blob are like, read once and in chunks."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from caffe_transfer.comparison.blobs import chunks
from caffe_transfer.formats.caffemodel import Blob


@dataclass(frozen=True)
class Statistics:
    """Of one blob.

    Attributes:
        least, most, mean: of its finite numbers; None where it has none.
        zeros, nans, infinities: how many of its numbers are 0 (of either sign), NaN, infinite.
    """

    least: float | None
    most: float | None
    mean: float | None
    zeros: int
    nans: int
    infinities: int

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def statistics_of(blob: Blob) -> Statistics:
    """Read all numbers of a blob; those of a mapped file take no memory."""
    least, most, total = np.inf, -np.inf, 0.0
    finite = zeros = nans = infinities = 0
    for part in chunks(blob):
        usable = np.isfinite(part)
        if not usable.all():
            missing = int(np.count_nonzero(np.isnan(part)))
            nans += missing
            infinities += int(np.count_nonzero(~usable)) - missing
            part = part[usable]
        if part.size:
            finite += part.size
            zeros += part.size - int(np.count_nonzero(part))
            least, most = min(least, float(part.min())), max(most, float(part.max()))
            total += float(part.sum(dtype=np.float64))
    if not finite:
        return Statistics(None, None, None, zeros, nans, infinities)
    return Statistics(least, most, total / finite, zeros, nans, infinities)
