"""Is the boost due to transfer?  Fine-tuned transfer against its control (paper section 4.1).

The copied layers of transfer+ are trained twice, for the base and again here, so it may beat the
base merely by longer training. Those of selffer+ are too, without another task's images: what
transfer itself gains is transfer+ - selffer+.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from caffe_transfer.report import decomposition
from caffe_transfer.report.groups import RANDOM_HALVES, group_of
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Mode


@dataclass(frozen=True)
class Control:
    """Fine-tuned transfer against its control, the fine-tuned selffer of the same task.

    Attributes:
        differences: n -> mean of transfer+ - selffer+ (top-1, 0..1) over the tasks that have both
            networks; empty where no task has.
    """

    differences: Mapping[int, float]

    @property
    def higher(self) -> int:
        """The number of cuts at which transfer+ exceeds selffer+."""
        return sum(difference > 0 for difference in self.differences.values())

    @property
    def mean_difference(self) -> float | None:
        """The mean of the differences over the cuts."""
        return fmean(self.differences.values()) if self.differences else None

    def as_dict(self) -> dict[str, Any]:
        """The differences by n, and what they sum up to."""
        return {
            "differences": dict(self.differences),
            "cuts": len(self.differences),
            "higher": self.higher,
            "mean_difference": self.mean_difference,
        }


def control(rows: Iterable[Row], group: str = RANDOM_HALVES) -> Control | None:
    """Compare the fine-tuned networks of a group of splits; None without a fine-tuned transfer.

    Task by task, since one half may be harder than the other and not every task has selffers.
    """
    tasks: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if group_of(row.network) == group:
            tasks[row.network.task].append(row)
    differences: dict[int, list[float]] = defaultdict(list)
    transferred = False
    for of_task in tasks.values():
        selffer = decomposition.by_n(of_task, Mode.SELFFER, fine_tuned=True)
        transfer = decomposition.by_n(of_task, Mode.TRANSFER, fine_tuned=True)
        transferred = transferred or bool(transfer)
        for n in selffer.keys() & transfer.keys():
            differences[n].append(fmean(transfer[n]) - fmean(selffer[n]))
    if not transferred:
        return None
    return Control({n: fmean(of_n) for n, of_n in sorted(differences.items())})
