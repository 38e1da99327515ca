"""Learning curves, thinned to what a page can show: fewer points, each of them as measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from caffe_transfer.report.log_scanner import Series
from caffe_transfer.report.log_text import Flags
from caffe_transfer.report.logs import NetworkLog, Try

MOST_POINTS = 200  # of one quantity of one network: as many as a chart is wide
_DIGITS = 4  # significant ones, which no eye tells from more


def thin(series: Series, most: int) -> Series:
    """At most `most` points of a series: of each stretch the lowest and the highest.

    So the scatter of a curve stays, and with it the extremes that the paper's metric rewards.  The
    first and the last point are kept.  A stretch with a value that is not finite keeps that too.

    Args:
        most: 4 or more.
    """
    if len(series) <= most:
        return series
    kept = {0, len(series) - 1}
    bounds = np.linspace(1, len(series) - 1, (most - 2) // 2 + 1).astype(int)
    for first, end in pairwise(bounds.tolist()):
        values = series.values[first:end]
        finite: Flags = np.isfinite(values)
        if finite.all():
            kept |= {first + int(values.argmin()), first + int(values.argmax())}
        else:
            kept.add(first + int((~finite).argmax()))
            if finite.any():
                kept.add(first + int(np.where(finite, values, -np.inf).argmax()))
    at = np.array(sorted(kept))
    return Series(series.iterations[at], series.values[at])


def thin_try(each: Try, most: int) -> Try:
    """A try whose three series are thinned to `most` points each."""
    return Try(
        each.name, thin(each.train_loss, most), thin(each.accuracy, most),
        thin(each.valid_loss, most),
    )  # fmt: skip


@dataclass
class Curves:
    """Collects the tries of networks while their logs are read; `add` is for `results.collect`."""

    tries: dict[str, tuple[Try, ...]] = field(default_factory=dict)

    def add(self, name: str, log: NetworkLog) -> None:
        """Keep what a page can show of a network's logs."""
        self.tries[name] = tuple(thin_try(each, MOST_POINTS) for each in log.tries)


def as_records(tries: Sequence[Try], most: int) -> list[Mapping[str, Any]]:
    """The tries of one network in plain values; a loss that is not finite is None.

    Args:
        most: points of one quantity over all tries, which share them by their lengths; each has
            8 at least.
    """

    def share(series: Series, total: int) -> Series:
        return thin(series, max(8, most * len(series) // total) if total else most)

    lengths = [
        sum(len(getattr(each, name)) for each in tries)
        for name in ("train_loss", "accuracy", "valid_loss")
    ]
    return [
        {
            "name": each.name,
            "train": _record(share(each.train_loss, lengths[0])),
            "accuracy": _record(share(each.accuracy, lengths[1])),
            "valid": _record(share(each.valid_loss, lengths[2])),
        }
        for each in tries
    ]


def _record(series: Series) -> list[list[float | int | None]]:
    """Iterations, and the values beside them."""
    return [series.iterations.tolist(), [_short(value) for value in series.values.tolist()]]


def _short(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
