"""What is measured of a training: accuracies of its tests, losses, and whether it has stalled.

The paper's metric, the mean of the ten highest accuracies, rewards noise, and of a training with
few tests it counts the untrained network too. A report is made with one metric throughout.
"""

import math
from enum import StrEnum

import numpy as np

from caffe_transfer.report.log_text import Times

FEW_TESTS = 30  # with fewer, the ten highest are a large part of all tests
_VALUES = 10  # averaged by the metrics
_LAST = 10  # final displayed losses that decide whether training has stalled
_STALLED_WITHIN = 0.02  # of ln(classes)


class Metric(StrEnum):
    """The accuracy of a network that a report compares."""

    BEST10 = "best10"
    LAST = "last"
    LAST10 = "last10"

    @property
    def column(self) -> str:
        """The column of results.csv that holds it."""
        return {Metric.BEST10: "top1", Metric.LAST: "top1_last", Metric.LAST10: "top1_last10"}[self]

    @property
    def label(self) -> str:
        """The metric in words."""
        return {
            Metric.BEST10: "the mean of the ten highest validation accuracies",
            Metric.LAST: "the accuracy of the last test",
            Metric.LAST10: "the mean accuracy of the last ten tests",
        }[self]

    @property
    def note(self) -> str:
        """What to add to the words "top-1 accuracy": nothing for the paper's metric."""
        return {Metric.BEST10: "", Metric.LAST: ", last test", Metric.LAST10: ", last ten tests"}[
            self
        ]


def mean_of_highest(values: Times) -> float | None:
    """The paper's metric: the mean of the ten highest values, or of all if there are fewer."""
    return None if len(values) == 0 else float(np.sort(values)[-_VALUES:].mean())


def mean_of_last(values: Times) -> float | None:
    """The mean of the last ten values, or of all if there are fewer."""
    return None if len(values) == 0 else float(values[-_VALUES:].mean())


def mean_of_lowest(values: Times) -> float | None:
    """The mean of the ten lowest finite values; NaN if none is finite."""
    if len(values) == 0:
        return None
    finite = np.sort(values[np.isfinite(values)])[:_VALUES]
    return float(finite.mean()) if len(finite) else math.nan


def stalled(train_loss: Times, classes: int | None) -> bool | None:
    """Whether a training loss is still that of guessing, or not finite; None if unknown."""
    if len(train_loss) == 0:
        return None
    last = float(np.median(train_loss[-_LAST:]))
    if not math.isfinite(last):
        return True
    if classes is None:
        return None
    return abs(last - math.log(classes)) <= _STALLED_WITHIN * math.log(classes)
