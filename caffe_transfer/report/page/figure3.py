"""Figure 3 of the paper as data for the page: what dissimilar.py draws."""

from collections.abc import Iterable, Iterator, Sequence

from caffe_transfer.report import decomposition, groups
from caffe_transfer.report.figure2_contents import top1
from caffe_transfer.report.figure3_contents import (
    FILTERS,
    dissimilar_splits,
    relative_curves,
    whole,
)
from caffe_transfer.report.page.points import (
    ByN,
    Panel,
    Point,
    Rows,
    Series,
    by_n,
    by_pairs,
    level_point,
    names,
)
from caffe_transfer.report.verdict_text import percentage
from caffe_transfer.studies.network import Mode

_FILTERS = "random filters"


def figure3(rows: Rows, published: Rows) -> tuple[Panel, ...]:
    """Figure 3: dissimilar tasks, random filters, and both relative to their bases."""
    splits = tuple(dissimilar_splits(rows))
    cuts, y_label = groups.cut_names(rows), top1(rows)
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
    for index, split in enumerate(splits):
        of_split = found.get(split, ())
        for task in decomposition.by_task(of_split):
            of_task = [row for row in of_split if row.network.task == task]
            bases = by_n(of_task, Mode.BASE).get(0, ())[:1]
            yield from _curve(
                f"to {task}", f"split{index}", bases, by_n(of_task, Mode.TRANSFER), published
            )


def _random(rows: Rows, published: bool) -> Iterator[Series]:
    if found := by_n(rows, Mode.RANDOM):
        bases = by_n(whole(rows), Mode.BASE).get(0, ())
        yield from _curve(_FILTERS, FILTERS, bases, found, published)


def _curve(label: str, look: str, bases: Rows, found: ByN, published: bool) -> Iterator[Series]:
    start = [level_point(0, bases)] if bases else []
    points = [level_point(n, of_n) for n, of_n in found.items()]
    line = tuple((point.x, point.y) for point in (*start, *points))
    if start:
        yield Series("base", "base", published, tuple(start))
    yield Series(label, look, published, tuple(points), line)


def _relative(rows: Rows, splits: Sequence[str], published: bool) -> Iterator[Series]:
    """The curves of differences from their bases; none without values."""
    for curve in relative_curves(rows, splits):
        networks = by_n(curve.rows, curve.mode)
        points = []
        for n, value in curve.values.items():
            paired = curve.difference(n)
            low, high = (paired.low, paired.high) if paired else (None, None)
            text = f"{percentage(value)} points{by_pairs(paired)}"
            points.append(Point(n, n, value, low, high, text, names(networks.get(n, ()))))
        if points:
            line = ((0.0, 0.0), *((point.x, point.y) for point in points))
            # One label, so that one entry of the legend hides all of random filters.
            label = _FILTERS if curve.key == FILTERS else curve.label
            yield Series(label, curve.key, published, tuple(points), line)


def _range(relative: Iterable[Series]) -> tuple[float, float]:
    """Of the relative panel: as in the paper, random features must not flatten the others."""
    own = [series for series in relative if not series.published]
    values = [point.y for series in own for point in series.points]
    shown = [point.y for series in own if series.look != FILTERS for point in series.points]
    return 1.2 * min([*(shown or values), -0.01]), max(0.02, 1.2 * max(values))
