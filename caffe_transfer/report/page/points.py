"""Charts as data: panels, series, points, each point with the networks that it stands for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from caffe_transfer.report.intervals import Estimate, Kind, accuracy
from caffe_transfer.report.repeats import of_kind, scores
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict_text import number, percentage
from caffe_transfer.studies.network import Mode

Rows = Sequence[Row]
ByN = Mapping[int, Rows]

PLUS = "⁺"


@dataclass(frozen=True)
class Point:
    """One mark.

    Attributes:
        x: n, moved a little where kinds of networks stand side by side.
        y: an accuracy (0..1), or a difference of two.
        low, high: the ends of its 95 % interval; None where nothing tells them.  At a mean of
            Figure 2 it is that of the paired differences from the base, above the base's line.
        text: value and interval in words.
        networks: the names of the networks that it stands for.
    """

    n: int
    x: float
    y: float
    low: float | None
    high: float | None
    text: str
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """Marks of one kind.

    Attributes:
        look: how it is drawn: "base", "selffer", "selffer-plus", "transfer", "transfer-plus",
            "random" or "split0", "split1", ..
        published: whether it is of the published results, drawn in gray underneath.
        line: the x and y that a line leads through; empty for points alone.
        shift: of intervals beside their points, where those of several series stand at one x.
    """

    label: str
    look: str
    published: bool
    points: tuple[Point, ...]
    line: tuple[tuple[float, float], ...] = ()
    shift: float = 0.0


@dataclass(frozen=True)
class Area:
    """A shade between two curves, where `upper` lies above `lower`: x, upper, lower."""

    label: str
    look: str
    edges: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        level: the height of the dashed line, the mean of the bases; None without one.
        bottom, top: of the y axis, where it is not to show everything.
        cuts: the names of cuts by n.
    """

    title: str
    y_label: str
    series: tuple[Series, ...]
    cuts: Mapping[int, str]
    last: int
    areas: tuple[Area, ...] = ()
    level: float | None = None
    bottom: float | None = None
    top: float | None = None


def by_n(rows: Iterable[Row], mode: Mode, fine_tuned: bool = False) -> ByN:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in of_kind(rows, mode, fine_tuned):
        found[row.network.n].append(row)
    return dict(sorted(found.items()))


def single(row: Row, offset: float) -> Point:
    estimate = row.estimate
    assert estimate is not None
    return estimated(row.network.n, row.network.n + offset, estimate, [row])


def level_point(n: int, rows: Rows, random_tasks: bool = True) -> Point:
    """The mean accuracy of networks."""
    return estimated(n, n, accuracy(scores(rows), random_tasks), rows)


def estimated(n: int, x: float, estimate: Estimate, rows: Rows) -> Point:
    value = percentage(estimate.value)
    text = f"{number(estimate).replace(value, f'{value} %', 1)}{why(estimate)}"
    return Point(n, x, estimate.value, estimate.low, estimate.high, text, names(rows))


def mean(rows: Rows, base: float | None, paired: Estimate | None) -> Point:
    """The mean of networks cut at one n, with the interval of its difference from the base."""
    value = average(rows)
    low = high = None
    if base is not None and paired and paired.low is not None and paired.high is not None:
        low, high = base + paired.low, base + paired.high
    text = f"{percentage(value)} %{by_pairs(paired)}"
    n = rows[0].network.n
    return Point(n, n, value, low, high, text, names(rows))


def average(rows: Rows) -> float:
    return fmean(row.score for row in rows if row.score is not None)


def by_pairs(paired: Estimate | None) -> str:
    if paired is None:
        return ""
    return f"; from the base, by pairs: {number(paired)} points{why(paired)}"


def why(estimate: Estimate) -> str:
    """What an interval comes from."""
    return {
        None: "",
        Kind.BINOMIAL: f", binomial, from {estimate.images} validation images",
        Kind.SEEDS: f", Student's, over {estimate.repeats} seeds",
        Kind.TASKS: f", Student's, over {estimate.repeats} tasks",
    }[estimate.kind]


def names(rows: Rows) -> tuple[str, ...]:
    return tuple(row.network.name for row in rows)
