"""Is the boost due to transfer?  Fine-tuned transfer against its control (paper section 4.1).

The copied layers of transfer+ are trained twice, for the base and again here, so it may beat the
base merely by longer training. Those of selffer+ are too, without another task's images: what
transfer itself gains is transfer+ - selffer+.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from caffe_transfer.report import decomposition
from caffe_transfer.report.decomposition import DIFFERENCES, Levels
from caffe_transfer.report.groups import RANDOM_HALVES
from caffe_transfer.report.intervals import Estimate
from caffe_transfer.report.results import Row


@dataclass(frozen=True)
class Control:
    """Fine-tuned transfer against its control, the fine-tuned selffer of the same task and seed.

    Attributes:
        estimates: n -> mean of transfer+ - selffer+ (top-1, 0..1) over the tasks and seeds that
            have both networks; empty where none has.
        overall: the mean over the cuts, which each task and seed is averaged over first; None
            where none has both networks.
    """

    estimates: Mapping[int, Estimate]
    overall: Estimate | None

    @property
    def differences(self) -> dict[int, float]:
        """The differences by n."""
        return {n: estimate.value for n, estimate in self.estimates.items()}

    @property
    def higher(self) -> int:
        """The number of cuts at which transfer+ exceeds selffer+."""
        return sum(difference > 0 for difference in self.differences.values())

    @property
    def mean_difference(self) -> float | None:
        """The mean of the differences over the cuts."""
        return fmean(self.differences.values()) if self.estimates else None

    def as_dict(self) -> dict[str, Any]:
        """The differences by n, and what they sum up to."""
        return {
            "differences": self.differences,
            "cuts": len(self.estimates),
            "higher": self.higher,
            "mean_difference": self.mean_difference,
            "estimates": {n: estimate.as_dict() for n, estimate in self.estimates.items()},
            "overall": self.overall and self.overall.as_dict(),
        }


def control(rows: Iterable[Row], group: str = RANDOM_HALVES) -> Control | None:
    """Compare the fine-tuned networks of a group of splits; None without a fine-tuned transfer."""
    return control_of(decomposition.levels(rows, group))


def control_of(level: Levels) -> Control | None:
    """Compare the fine-tuned networks; None without a fine-tuned transfer."""
    cuts, pair = sorted(level.transfer_plus), DIFFERENCES["boost_over_selffer"]
    if not cuts:
        return None
    found = {n: level.difference(*pair, [n]) for n in cuts}
    estimates = {n: estimate for n, estimate in found.items() if estimate}
    return Control(estimates, level.difference(*pair, cuts))
