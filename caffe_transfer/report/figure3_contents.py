"""What the lower panel of Figure 3 shows, whoever draws it: curves relative to their bases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from caffe_transfer.report import decomposition, groups
from caffe_transfer.report.figure2_contents import Rows
from caffe_transfer.report.intervals import Estimate
from caffe_transfer.report.repeats import Repeats, mean_difference, repeats
from caffe_transfer.studies.network import NATMAN, Mode

HALVES, FILTERS = "transfer", "random"


@dataclass(frozen=True)
class RelativeCurve:
    """Networks of one kind, less the level of their bases.

    Attributes:
        key: HALVES, FILTERS, or "split0" for the first of the named splits.
        values: differences by n; empty without networks or without a base.
        rows: among which the networks are, as those of `mode`.
        random_tasks: whether their tasks are drawn by chance; see intervals.py.
    """

    key: str
    label: str
    values: Mapping[int, float]
    rows: Rows
    mode: Mode
    random_tasks: bool = True

    def difference(self, n: int) -> Estimate | None:
        """The difference at n by pairs, with its interval; None without pairs."""
        found, bases = self._repeats
        return mean_difference(found, bases, [n], self.random_tasks)

    @cached_property
    def _repeats(self) -> tuple[Repeats, Repeats]:
        return repeats(self.rows, self.mode), repeats(self.rows, Mode.BASE)


def dissimilar_splits(rows: Rows) -> dict[str, Rows]:
    """The rows of each named split that has a transfer, by its name."""
    found = groups.by_group(rows)
    return {name: of for name, of in found.items() if decomposition.by_task(of)}


def whole(rows: Rows) -> Rows:
    """The networks on all classes: the base, and those with random filters."""
    return [row for row in rows if row.network.split is None]


def relative_curves(rows: Rows, splits: Sequence[str]) -> Iterator[RelativeCurve]:
    """The curve of random halves, of each named split, and of random filters; some empty."""
    halves, found = decomposition.levels(rows), dissimilar_splits(rows)
    of_halves = [row for row in rows if groups.is_random(row.network)]
    label = f"mean {_transfer(halves)}, random splits"
    values = decomposition.less(halves.transfer, halves.base_level)
    yield RelativeCurve(HALVES, label, values, of_halves, Mode.TRANSFER)
    for index, name in enumerate(splits):
        of_split = found.get(name, ())
        transfer = _transfer(decomposition.levels(of_split, name))
        label = f"mean {transfer}, {'m/n split' if name == NATMAN else f'split {name}'}"
        values = decomposition.mean_of_tasks(of_split)
        yield RelativeCurve(f"split{index}", label, values, of_split, Mode.TRANSFER, False)
    random = decomposition.by_n(rows, Mode.RANDOM)
    values = decomposition.less(random, decomposition.whole_base(rows))
    yield RelativeCurve(FILTERS, "random features", values, whole(rows), Mode.RANDOM)


def _transfer(level: decomposition.Levels) -> str:
    return f"{level.other}n{level.letter}"
