"""How much of the drop is lost co-adaptation, and how much is specificity (paper section 4.1).

    lost co-adaptation = base - selffer
    specificity        = selffer - transfer
    boost              = transfer, fine-tuned - base      (paper table 1)

Everything is the mean over the networks of the random splits, in both directions where a study
has both; the base level is that of the tasks which the copied networks are trained on.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import MAX_N, Mode, Network

RANGES = ((1, MAX_N), (3, MAX_N), (5, MAX_N))  # of table 1
Values = Mapping[int, Sequence[float]]  # the top-1 accuracies of each n


@dataclass(frozen=True)
class Levels:
    """Top-1 accuracies (0..1) of a study's random splits, by kind of network and by n.

    Attributes:
        base: the accuracies of the bases.
        selffer, transfer: of the frozen networks; _plus: of the fine-tuned ones.
        letter: the task that they are trained on, "A" or "B"; "B", the paper's way to write
            any target, where both occur.
    """

    base: tuple[float, ...]
    selffer: Values
    selffer_plus: Values
    transfer: Values
    transfer_plus: Values
    letter: str = "B"

    @property
    def other(self) -> str:
        """The task that features are transferred from."""
        return "A" if self.letter == "B" else "B"

    @property
    def base_level(self) -> float | None:
        """The mean of the bases."""
        return fmean(self.base) if self.base else None

    def __bool__(self) -> bool:
        return any((self.selffer, self.selffer_plus, self.transfer, self.transfer_plus))


@dataclass(frozen=True)
class Effects:
    """Means over the networks with cuts at first..last; differences in accuracy, None if unknown.

    Attributes:
        boost_over_selffer: fine-tuned transfer - fine-tuned selffer.
    """

    first: int
    last: int
    base: float | None
    selffer: float | None
    selffer_plus: float | None
    transfer: float | None
    transfer_plus: float | None

    @property
    def label(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def co_adaptation(self) -> float | None:
        return _difference(self.base, self.selffer)

    @property
    def specificity(self) -> float | None:
        return _difference(self.selffer, self.transfer)

    @property
    def boost(self) -> float | None:
        return _difference(self.transfer_plus, self.base)

    @property
    def boost_over_selffer(self) -> float | None:
        return _difference(self.transfer_plus, self.selffer_plus)


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


def levels(rows: Iterable[Row]) -> Levels:
    """What the random splits' networks came to."""
    rows = [row for row in rows if row.top1 is not None and is_random(row.network)]
    cut = [row.network for row in rows if row.network.mode in (Mode.SELFFER, Mode.TRANSFER)]
    targets = {network.target for network in cut}
    return Levels(
        base=tuple(
            value
            for network, value in measured(rows)
            if network.mode is Mode.BASE and (network.target in targets or not targets)
        ),
        selffer=by_n(rows, Mode.SELFFER),
        selffer_plus=by_n(rows, Mode.SELFFER, fine_tuned=True),
        transfer=by_n(rows, Mode.TRANSFER),
        transfer_plus=by_n(rows, Mode.TRANSFER, fine_tuned=True),
        letter="A" if targets == {"A"} else "B",
    )


def decompose(level: Levels) -> list[Effects]:
    """The effects of each n that any network was cut at."""
    kinds = (level.selffer, level.selffer_plus, level.transfer, level.transfer_plus)
    return [_effects(level, n, n) for n in sorted({n for kind in kinds for n in kind})]


def averages(level: Levels) -> list[Effects]:
    """The paper's table 1: over all networks with n = 1..7, 3..7 and 5..7."""
    return [_effects(level, first, last) for first, last in RANGES] if level else []


def measured(rows: Iterable[Row]) -> Iterator[tuple[Network, float]]:
    """The networks that have an accuracy, with it."""
    for row in rows:
        if row.top1 is not None:
            yield row.network, row.top1


def by_n(
    rows: Iterable[Row], mode: Mode, fine_tuned: bool = False, preserve: int = 0
) -> dict[int, list[float]]:
    """The accuracies of one kind of network, by the layer that it is cut at."""
    found: dict[int, list[float]] = defaultdict(list)
    for network, value in measured(rows):
        if (network.mode, network.fine_tuned, network.preserve) == (mode, fine_tuned, preserve):
            found[network.n].append(value)
    return dict(sorted(found.items()))


def is_random(network: Network) -> bool:
    """Whether a network belongs to a split into random halves."""
    return network.split is not None and network.split.isdigit()


def by_task(rows: Iterable[Row]) -> dict[str, tuple[float | None, Values]]:
    """For each task of the splits that are not random, by name: its base, and transfer to it."""
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
    """For each n the mean loss against the base, over the tasks of `by_task`."""
    differences: dict[int, list[float]] = defaultdict(list)
    for base, values in by_task(rows).values():
        for n, difference in less(values, base).items():
            differences[n].append(difference)
    return {n: fmean(of_n) for n, of_n in sorted(differences.items())}


def less(values: Values, base: float | None) -> dict[int, float]:
    """The mean of each n less the base; nothing without a base."""
    return {} if base is None else {n: fmean(of_n) - base for n, of_n in values.items()}


def whole_base(rows: Iterable[Row]) -> float | None:
    """The accuracy of the base on all classes."""
    return _first(by_n((row for row in rows if row.network.split is None), Mode.BASE))


def by_images(rows: Iterable[Row]) -> dict[int, float]:
    """The mean accuracy by the number of training images of each class."""
    found: dict[int, list[float]] = defaultdict(list)
    for network, value in measured(rows):
        if network.per_class is not None:
            found[network.per_class].append(value)
    return {images: fmean(values) for images, values in sorted(found.items())}


def as_csv(effects: Iterable[Effects]) -> str:
    """The table with full precision; nothing where a value is missing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for effect in effects:
        values = [getattr(effect, name) for name in COLUMNS.values()]
        writer.writerow([f"{v:.10g}" if isinstance(v, float) else v for v in values])
    return text.getvalue()


def cells(effect: Effects) -> list[str]:
    """One line of the table for people: accuracies and differences in percent."""
    values = [getattr(effect, name) for name in COLUMNS.values()]
    return [_percent(value) if not isinstance(value, str) else value for value in values]


def _effects(level: Levels, first: int, last: int) -> Effects:
    def mean(kind: Values) -> float | None:
        values = [value for n, of_n in kind.items() if first <= n <= last for value in of_n]
        return fmean(values) if values else None

    return Effects(
        first,
        last,
        level.base_level,
        mean(level.selffer),
        mean(level.selffer_plus),
        mean(level.transfer),
        mean(level.transfer_plus),
    )


def _first(values: Values) -> float | None:
    """The mean of the bases, which are all cut at 0."""
    return fmean(values[0]) if values else None


def _difference(minuend: float | None, subtrahend: float | None) -> float | None:
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
