"""Figures 2 and 3 of the paper as data, for a page that draws them: what figures.py draws.

A chart has panels, a panel has series, a series has points; each point knows the networks that it
stands for.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from caffe_transfer.report import decomposition, groups
from caffe_transfer.report.decomposition import Levels
from caffe_transfer.report.dissimilar import dissimilar_splits
from caffe_transfer.report.intervals import Estimate, Kind, Repeat, Score, accuracy
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import NATMAN, Mode

Rows = Sequence[Row]
ByN = Mapping[int, Rows]

PLUS = "⁺"
_CLOSER = (
    0.3  # of the offsets: means stand closer, so that lines keep their place and intervals part
)


@dataclass(frozen=True)
class Point:
    """One mark.

    Attributes:
        x: n, moved a little where kinds of networks stand side by side.
        y: an accuracy (0..1), or a difference of two.
        low, high: the ends of its 95 % interval; None where nothing tells them.
        why: what the interval comes from.
        networks: the names of the networks that it stands for.
    """

    n: int
    x: float
    y: float
    low: float | None
    high: float | None
    why: str
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """Marks of one kind.

    Attributes:
        look: how it is drawn: "base", "selffer", "selffer-plus", "transfer", "transfer-plus",
            "random" or "split0", "split1", ..
        published: whether it is of the published results, drawn in gray underneath.
        line: the x and y that a line leads through; empty for points alone.
    """

    label: str
    look: str
    published: bool
    points: tuple[Point, ...]
    line: tuple[tuple[float, float], ...] = ()


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


def figure2(rows: Rows, published: Rows, group: str) -> tuple[Panel, ...]:
    """Figure 2 of one group of splits: every network, and the means with what the drops are due to.

    Args:
        group: one of `figures.figure2_groups(rows)`.
    """
    data = [
        (decomposition.levels(of, group), _of_group(of, group), is_published)
        for of, is_published in ((published, True), (rows, False))
    ]
    own = data[1][0]
    last = max(n for level, _, _ in data for n in level.cuts)
    cuts = groups.cut_names(rows)
    singles: list[Series] = []
    means: list[Series] = []
    for level, of_group, is_published in data:
        if level:
            singles += _singles(level, of_group, is_published)
            means += _means(level, of_group, is_published, group)
    y_label = rows[0].metric.short
    return (
        Panel("Every network", y_label, tuple(singles), cuts, last, level=own.base_level),
        Panel("Means", y_label, tuple(means), cuts, last, _areas(own, rows, group), own.base_level),
    )


def _of_group(rows: Rows, group: str) -> Rows:
    return [row for row in rows if groups.group_of(row.network) == group]


def _kinds(level: Levels, rows: Rows) -> Iterator[tuple[str, str, float, ByN]]:
    """Label, look, offset beside n and networks of the four kinds."""
    selffer, transfer = (f"{base}n{level.letter}" for base in (level.letter, level.other))
    for label, look, offset, mode, tuned in (
        (f"selffer {selffer}", "selffer", -0.22, Mode.SELFFER, False),
        (f"selffer {selffer}{PLUS}", "selffer-plus", -0.07, Mode.SELFFER, True),
        (f"transfer {transfer}", "transfer", 0.08, Mode.TRANSFER, False),
        (f"transfer {transfer}{PLUS}", "transfer-plus", 0.24, Mode.TRANSFER, True),
    ):
        if found := _by_n(rows, mode, tuned):
            yield label, look, offset, found


def _by_n(rows: Iterable[Row], mode: Mode, fine_tuned: bool = False) -> ByN:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        network = row.network
        kind = (network.mode, network.fine_tuned, network.preserve)
        if row.score is not None and kind == (mode, fine_tuned, 0):
            found[network.n].append(row)
    return dict(sorted(found.items()))


def _bases(level: Levels, rows: Rows) -> Rows:
    """The bases whose mean is the level's."""
    targets = {row.network.target for row in rows if row.network.n}
    bases = _by_n(rows, Mode.BASE).get(0, ())
    return [row for row in bases if level.base and row.network.target in targets]


def _singles(level: Levels, rows: Rows, published: bool) -> Iterator[Series]:
    if bases := _bases(level, rows):
        points = tuple(_single(row, 0) for row in bases)
        yield Series(f"base{level.letter}", "base", published, points)
    for label, look, offset, found in _kinds(level, rows):
        singles = (_single(row, offset) for of_n in found.values() for row in of_n)
        yield Series(label, look, published, tuple(singles))


def _means(level: Levels, rows: Rows, published: bool, group: str) -> Iterator[Series]:
    start: tuple[tuple[float, float], ...] = ()
    if (bases := _bases(level, rows)) and level.base_level is not None:
        base = _mean(0, bases, group)
        start = ((0, base.y),)
        yield Series(f"base{level.letter}", "base", published, (base,))
    for label, look, offset, found in _kinds(level, rows):
        points = tuple(_mean(n, of_n, group, _CLOSER * offset) for n, of_n in found.items())
        line = (*start, *((point.x, point.y) for point in points))
        yield Series(label, look, published, points, line)


def _areas(level: Levels, rows: Rows, group: str) -> tuple[Area, ...]:
    """The drops and the boost; the page shades them where upper lies above lower."""
    base = level.base_level
    if base is None:
        return ()
    means = {
        look: {0: base} | {n: _mean(n, of_n, group).y for n, of_n in found.items()}
        for _, look, _, found in _kinds(level, _of_group(rows, group))
    }
    selffer, transfer = means.get("selffer", {}), means.get("transfer", {})
    boosted = means.get("transfer-plus", {})
    control = f"{level.letter}n{level.letter}{PLUS}"
    control = f"control: {control}" if "selffer-plus" in means else f"no control {control}"
    found = []
    for label, look, upper, lower in (
        (f"boost over the base ({control})", "boost", boosted, dict.fromkeys(boosted, base)),
        ("drop: lost co-adaptation", "co-adaptation", dict.fromkeys(selffer, base), selffer),
        ("drop: representation specificity", "specificity", selffer, transfer),
    ):
        edges = [(float(n), upper[n], lower[n]) for n in sorted(upper.keys() & lower.keys())]
        if any(top > bottom for _, top, bottom in edges):
            found.append(Area(label, look, tuple(edges)))
    return tuple(found)


def figure3(rows: Rows, published: Rows) -> tuple[Panel, ...]:
    """Figure 3: dissimilar tasks, random filters, and both relative to their bases."""
    splits = tuple(dissimilar_splits(rows))
    cuts, y_label = groups.cut_names(rows), rows[0].metric.short
    tasks: list[Series] = []
    filters: list[Series] = []
    relative: list[Series] = []
    for data, is_published in ((published, True), (rows, False)):
        tasks += _tasks(data, splits, is_published)
        filters += _random(data, is_published)
        relative += _relative(data, splits, is_published)
    last = max(point.n for series in (*tasks, *filters, *relative) for point in series.points)
    several = f"Splits {', '.join(splits)}" if len(splits) > 1 else ""
    found = []
    if splits:
        title = several or groups.title(splits[0])
        found.append(Panel(title, y_label, tuple(tasks), cuts, last))
    if any(not series.published for series in filters):
        found.append(Panel("Random, untrained filters", y_label, tuple(filters), cuts, last))
    if any(not series.published for series in relative):
        bottom, top = _range(relative)
        found.append(
            Panel(
                "Relative to the base", f"{y_label}, less that of the base", tuple(relative), cuts,
                last, level=0.0, bottom=bottom, top=top,
            )
        )  # fmt: skip
    return tuple(found)


def _tasks(rows: Rows, splits: Sequence[str], published: bool) -> Iterator[Series]:
    found = dissimilar_splits(rows)
    for number, split in enumerate(splits):
        of_split = found.get(split, ())
        for task in decomposition.by_task(of_split):
            of_task = [row for row in of_split if row.network.task == task]
            bases = _by_n(of_task, Mode.BASE).get(0, ())[:1]
            yield from _curve(
                f"to {task}", f"split{number}", bases, _by_n(of_task, Mode.TRANSFER), published
            )


def _random(rows: Rows, published: bool) -> Iterator[Series]:
    whole = [row for row in rows if row.network.split is None]
    if found := _by_n(rows, Mode.RANDOM):
        bases = _by_n(whole, Mode.BASE).get(0, ())
        yield from _curve("random filters", "random", bases, found, published)


def _curve(label: str, look: str, bases: Rows, found: ByN, published: bool) -> Iterator[Series]:
    start = [_mean(0, bases, "")] if bases else []
    points = [_mean(n, of_n, "") for n, of_n in found.items()]
    line = tuple((point.x, point.y) for point in (*start, *points))
    if start:
        yield Series("base", "base", published, tuple(start))
    yield Series(label, look, published, tuple(points), line)


def _relative(rows: Rows, splits: Sequence[str], published: bool) -> Iterator[Series]:
    halves, found = decomposition.levels(rows), dissimilar_splits(rows)
    of_halves = [row for row in rows if groups.is_random(row.network)]
    curves: list[tuple[str, str, Mapping[int, float], ByN]] = [
        (
            f"mean {halves.other}n{halves.letter}, random splits", "transfer",
            decomposition.less(halves.transfer, halves.base_level),
            _by_n(of_halves, Mode.TRANSFER),
        )
    ]  # fmt: skip
    for number, split in enumerate(splits):
        of_split = found.get(split, ())
        name = "m/n split" if split == NATMAN else f"split {split}"
        means = decomposition.mean_of_tasks(of_split)
        level = decomposition.levels(of_split, split)
        label = f"mean {level.other}n{level.letter}, {name}"
        curves.append((label, f"split{number}", means, _by_n(of_split, Mode.TRANSFER)))
    random = decomposition.less(
        decomposition.by_n(rows, Mode.RANDOM), decomposition.whole_base(rows)
    )
    curves.append(("random filters", "random", random, _by_n(rows, Mode.RANDOM)))
    for label, look, values, networks in curves:
        points = tuple(
            Point(n, n, value, None, None, "", _names(networks.get(n, ())))
            for n, value in values.items()
        )
        if points:
            line = ((0.0, 0.0), *((point.x, point.y) for point in points))
            yield Series(label, look, published, points, line)


def _range(relative: Iterable[Series]) -> tuple[float, float]:
    """Of the relative panel: as in the paper, random features must not flatten the others."""
    own = [series for series in relative if not series.published]
    values = [point.y for series in own for point in series.points]
    shown = [point.y for series in own if series.look != "random" for point in series.points]
    return 1.2 * min([*(shown or values), -0.01]), max(0.02, 1.2 * max(values))


def _single(row: Row, offset: float) -> Point:
    estimate = row.estimate
    assert estimate is not None
    return _point(row.network.n, offset, estimate, [row])


def _mean(n: int, rows: Rows, group: str, offset: float = 0) -> Point:
    """The mean of networks; over several tasks with an interval only if chance drew them."""
    scores = {
        Repeat(row.network.task, row.network.seed): Score(row.score, row.valid_images)
        for row in rows
        if row.score is not None
    }
    estimate = accuracy(scores)
    if estimate.kind is Kind.TASKS and group != groups.RANDOM_HALVES:
        estimate = Estimate(estimate.value)
    return _point(n, offset, estimate, rows)


def _point(n: int, offset: float, estimate: Estimate, rows: Rows) -> Point:
    why = {
        None: "",
        Kind.BINOMIAL: f"binomial, {estimate.images} validation images",
        Kind.SEEDS: f"Student's, {estimate.repeats} seeds",
        Kind.TASKS: f"Student's, {estimate.repeats} tasks",
    }[estimate.kind]
    return Point(n, n + offset, estimate.value, estimate.low, estimate.high, why, _names(rows))


def _names(rows: Rows) -> tuple[str, ...]:
    return tuple(row.network.name for row in rows)
