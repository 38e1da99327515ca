"""How much of the drop is lost co-adaptation, and how much is specificity (paper section 4.1).

    lost co-adaptation = base - selffer
    specificity        = selffer - transfer
    boost              = transfer+ - base      (paper table 1; + is fine-tuned)

All are means over the networks of a group of splits, in both directions where a study has both; the
base level is that of the tasks that the cut networks are trained on. The interval of a difference
is that of the paired differences, over the tasks and seeds that have both kinds of networks: where
some have only one, the difference of the means is another number, and both are given.

The layers of a fine-tuned network have trained longer than its base's, so the boost alone does not
show that transfer helps: see control.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from caffe_transfer.report.groups import RANDOM_HALVES, group_of, is_random
from caffe_transfer.report.intervals import Estimate, accuracy
from caffe_transfer.report.repeats import (
    Repeats,
    mean_difference,
    mean_level,
    of_kind,
    repeats,
    scores,
)
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Mode, Network

Values = Mapping[int, Sequence[float]]  # n -> accuracies (0..1), by the rows' metric

_FIRST_OF_RANGES = (1, 3, 5)  # table 1 of the paper averages over n = 1..7, 3..7 and 5..7


@dataclass(frozen=True)
class Levels:
    """Top-1 accuracies (0..1) of the networks of one group of splits, by kind and by n.

    Attributes:
        base: of the bases.
        selffer, transfer: of the networks with frozen layers.
        selffer_plus, transfer_plus: of the fine-tuned networks.
        letter: the task that the networks are trained on, "A" or "B"; where both occur "B", which
            the paper writes for either.
        repeats: the same networks by their kind, an attribute's name, for paired differences.
        random_tasks: whether the tasks are random halves.
    """

    base: tuple[float, ...]
    selffer: Values
    selffer_plus: Values
    transfer: Values
    transfer_plus: Values
    letter: str = "B"
    repeats: Mapping[str, Repeats] = field(default_factory=dict)
    random_tasks: bool = True

    @property
    def other(self) -> str:
        """The letter of the task that features are transferred from."""
        return "A" if self.letter == "B" else "B"

    @property
    def base_level(self) -> float | None:
        """The mean of the bases."""
        return fmean(self.base) if self.base else None

    @property
    def cuts(self) -> list[int]:
        """Every n at which any network is cut, ascending."""
        kinds = (self.selffer, self.selffer_plus, self.transfer, self.transfer_plus)
        return sorted({n for kind in kinds for n in kind})

    def __bool__(self) -> bool:
        return bool(self.cuts)

    def level(self, kind: str, cuts: Sequence[int]) -> Estimate | None:
        """The mean accuracy of a kind of networks at some cuts, with its interval."""
        return mean_level(self.repeats.get(kind, {}), cuts, self.random_tasks)

    def difference(self, minuend: str, subtrahend: str, cuts: Sequence[int]) -> Estimate | None:
        """The mean paired difference of two kinds of networks at some cuts."""
        first, second = (self.repeats.get(kind, {}) for kind in (minuend, subtrahend))
        return mean_difference(first, second, cuts, self.random_tasks)


@dataclass(frozen=True)
class Effects:
    """Mean top-1 accuracies (0..1) of the networks cut at n = first..last; None if there are none.

    The properties are differences of these means, None where one of the two is missing.

    Attributes:
        estimates: of the means and of the differences, by their names here, with their intervals;
            those of differences are by pairs, and missing if no task and seed has both networks.
    """

    first: int
    last: int
    base: float | None
    selffer: float | None
    selffer_plus: float | None
    transfer: float | None
    transfer_plus: float | None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The n, or the range of n, such as "4" or "3-7"."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def co_adaptation(self) -> float | None:
        """Drop from lost co-adaptation: base - selffer."""
        return _difference(self.base, self.selffer)

    @property
    def specificity(self) -> float | None:
        """Drop from the features' specificity: selffer - transfer."""
        return _difference(self.selffer, self.transfer)

    @property
    def boost(self) -> float | None:
        """Boost over the base: transfer+ - base."""
        return _difference(self.transfer_plus, self.base)

    @property
    def boost_over_selffer(self) -> float | None:
        """Boost over the control: transfer+ - selffer+."""
        return _difference(self.transfer_plus, self.selffer_plus)

    def as_dict(self) -> dict[str, Any]:
        """The values by the column names of decomposition.csv."""
        return {column: getattr(self, name) for column, name in COLUMNS.items()}

    def intervals(self) -> dict[str, Any]:
        """The estimates by the column names of decomposition.csv."""
        values: list[Any] = []
        for name in list(COLUMNS.values())[1:]:
            estimate = self.estimates.get(name)
            values += [estimate and estimate.value] if name in DIFFERENCES else []
            values += [getattr(estimate, each, None) for each in _INTERVAL_COLUMNS]
        return dict(zip(interval_columns(), values, strict=True))


# The columns of decomposition.csv and the attribute of Effects that each shows.
COLUMNS = {
    "n": "label",
    "base": "base",
    "selffer": "selffer",
    "selffer+": "selffer_plus",
    "transfer": "transfer",
    "transfer+": "transfer_plus",
    "lost co-adaptation": "co_adaptation",
    "specificity": "specificity",
    "boost": "boost",
    "boost over selffer+": "boost_over_selffer",
}
_INTERVAL_COLUMNS = ("low", "high", "kind", "repeats")
# What each difference is of, minuend first.
DIFFERENCES = {
    "co_adaptation": ("base", "selffer"),
    "specificity": ("selffer", "transfer"),
    "boost": ("transfer_plus", "base"),
    "boost_over_selffer": ("transfer_plus", "selffer_plus"),
}
# Mode and fine-tuning of each kind of networks.
KINDS = {
    "base": (Mode.BASE, False),
    "selffer": (Mode.SELFFER, False),
    "selffer_plus": (Mode.SELFFER, True),
    "transfer": (Mode.TRANSFER, False),
    "transfer_plus": (Mode.TRANSFER, True),
}


def interval_columns() -> list[str]:
    """The columns of decomposition.csv for the intervals, and for the differences by pairs."""
    found = []
    for column, name in list(COLUMNS.items())[1:]:
        suffixes = ("by pairs", *_INTERVAL_COLUMNS) if name in DIFFERENCES else _INTERVAL_COLUMNS
        found += [f"{column} {suffix}" for suffix in suffixes]
    return found


def levels(rows: Iterable[Row], group: str = RANDOM_HALVES) -> Levels:
    """The accuracies of the networks of one group of splits.

    The tasks of a named split differ in difficulty: if one that networks are cut for has no base
    with a result, as where the base was given, the level of the others' bases would mislead, and
    there is none.
    """
    rows = [row for row in rows if row.score is not None and group_of(row.network) == group]
    cut = [row.network for row in rows if row.network.mode in (Mode.SELFFER, Mode.TRANSFER)]
    targets = {network.target for network in cut}
    base_rows = [
        row
        for row in rows
        if row.network.mode is Mode.BASE and (row.network.target in targets or not targets)
    ]
    if group != RANDOM_HALVES and not targets <= {row.network.target for row in base_rows}:
        base_rows = []
    return Levels(
        base=tuple(value for _, value in measured(base_rows)),
        selffer=by_n(rows, Mode.SELFFER),
        selffer_plus=by_n(rows, Mode.SELFFER, fine_tuned=True),
        transfer=by_n(rows, Mode.TRANSFER),
        transfer_plus=by_n(rows, Mode.TRANSFER, fine_tuned=True),
        letter="A" if targets == {"A"} else "B",
        repeats={
            name: repeats(rows, mode, fine_tuned) for name, (mode, fine_tuned) in KINDS.items()
        }
        | {"base": repeats(base_rows, Mode.BASE)},
        random_tasks=group == RANDOM_HALVES,
    )


def decompose(level: Levels) -> list[Effects]:
    """The effects at each n at which any network is cut."""
    return [_effects(level, n, n) for n in level.cuts]


def averages(level: Levels) -> list[Effects]:
    """The paper's table 1: over all networks with n = 1..N, 3..N and 5..N, N the highest cut.

    A range that holds no more than N itself is left out.
    """
    last = max(level.cuts, default=0)
    return [_effects(level, first, last) for first in _FIRST_OF_RANGES if first < last]


def measured(rows: Iterable[Row]) -> Iterator[tuple[Network, float]]:
    """The networks with a known accuracy, each with its accuracy."""
    for row in rows:
        if row.score is not None:
            yield row.network, row.score


def by_n(
    rows: Iterable[Row], mode: Mode, fine_tuned: bool = False, preserve: int = 0
) -> dict[int, list[float]]:
    """The accuracies of one kind of network by n."""
    found: dict[int, list[float]] = defaultdict(list)
    for network, value in measured(of_kind(rows, mode, fine_tuned, preserve)):
        found[network.n].append(value)
    return dict(sorted(found.items()))


def by_task(rows: Iterable[Row]) -> dict[str, tuple[float | None, Values]]:
    """For each task of a non-random split, by name: its base's accuracy, and transfers to it."""
    tasks: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        network = row.network
        if network.split is not None and not is_random(network):
            tasks[network.task].append(row)
    found = {
        name: (_first(by_n(of_task, Mode.BASE)), by_n(of_task, Mode.TRANSFER))
        for name, of_task in sorted(tasks.items())
    }
    return {name: (base, values) for name, (base, values) in found.items() if values}


def mean_of_tasks(rows: Iterable[Row]) -> dict[int, float]:
    """For each n the mean difference from the base, over the tasks of `by_task`."""
    differences: dict[int, list[float]] = defaultdict(list)
    for base, values in by_task(rows).values():
        for n, difference in less(values, base).items():
            differences[n].append(difference)
    return {n: fmean(of_n) for n, of_n in sorted(differences.items())}


def less(values: Values, base: float | None) -> dict[int, float]:
    """The mean at each n minus the base; empty without a base."""
    return {} if base is None else {n: fmean(of_n) - base for n, of_n in values.items()}


def whole_base(rows: Iterable[Row]) -> float | None:
    """The accuracy of the base on all classes."""
    return _first(by_n((row for row in rows if row.network.split is None), Mode.BASE))


def by_images(rows: Iterable[Row]) -> dict[int, Estimate]:
    """The mean accuracy by the number of training images per class."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row.network.per_class is not None and row.score is not None:
            found[row.network.per_class].append(row)
    return {images: accuracy(scores(of)) for images, of in sorted(found.items())}


def _effects(level: Levels, first: int, last: int) -> Effects:
    def mean(kind: Values) -> float | None:
        values = [value for n, of_n in kind.items() if first <= n <= last for value in of_n]
        return fmean(values) if values else None

    cuts = [n for n in level.cuts if first <= n <= last]
    estimates = {name: level.level(name, cuts) for name in KINDS} | {
        name: level.difference(*pair, cuts) for name, pair in DIFFERENCES.items()
    }
    return Effects(
        first,
        last,
        level.base_level,
        mean(level.selffer),
        mean(level.selffer_plus),
        mean(level.transfer),
        mean(level.transfer_plus),
        {name: estimate for name, estimate in estimates.items() if estimate},
    )


def _first(values: Values) -> float | None:
    """The mean of the bases, whose n is 0."""
    return fmean(values[0]) if values else None


def _difference(minuend: float | None, subtrahend: float | None) -> float | None:
    return None if minuend is None or subtrahend is None else minuend - subtrahend
