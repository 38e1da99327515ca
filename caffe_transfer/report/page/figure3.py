"""Figure 3 of the paper as data for the page: what dissimilar.py draws."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from caffe_transfer.report import decomposition, groups
from caffe_transfer.report.dissimilar import dissimilar_splits
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
from caffe_transfer.report.repeats import Repeats, mean_difference, repeats
from caffe_transfer.report.style import top1
from caffe_transfer.report.verdict_text import percentage
from caffe_transfer.studies.network import NATMAN, Mode


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
    whole = [row for row in rows if row.network.split is None]
    if found := by_n(rows, Mode.RANDOM):
        bases = by_n(whole, Mode.BASE).get(0, ())
        yield from _curve("random filters", "random", bases, found, published)


def _curve(label: str, look: str, bases: Rows, found: ByN, published: bool) -> Iterator[Series]:
    start = [level_point(0, bases)] if bases else []
    points = [level_point(n, of_n) for n, of_n in found.items()]
    line = tuple((point.x, point.y) for point in (*start, *points))
    if start:
        yield Series("base", "base", published, tuple(start))
    yield Series(label, look, published, tuple(points), line)


def _relative(rows: Rows, splits: Sequence[str], published: bool) -> Iterator[Series]:
    halves, found = decomposition.levels(rows), dissimilar_splits(rows)
    label = f"mean {halves.other}n{halves.letter}, random splits"
    values = decomposition.less(halves.transfer, halves.base_level)
    of_halves = [row for row in rows if groups.is_random(row.network)]
    yield from _below_base(
        label, "transfer", values, of_halves, halves.repeats["base"], Mode.TRANSFER, published
    )
    for index, split in enumerate(splits):
        of_split = found.get(split, ())
        level = decomposition.levels(of_split, split)
        name = "m/n split" if split == NATMAN else f"split {split}"
        label = f"mean {level.other}n{level.letter}, {name}"
        values, bases = decomposition.mean_of_tasks(of_split), repeats(of_split, Mode.BASE)
        yield from _below_base(
            label, f"split{index}", values, of_split, bases, Mode.TRANSFER, published, False
        )
    random = decomposition.by_n(rows, Mode.RANDOM)
    values = decomposition.less(random, decomposition.whole_base(rows))
    whole = [row for row in rows if row.network.split is None]
    bases = repeats(whole, Mode.BASE)
    yield from _below_base("random filters", "random", values, whole, bases, Mode.RANDOM, published)


def _below_base(
    label: str,
    look: str,
    values: Mapping[int, float],
    rows: Rows,
    bases: Repeats,
    mode: Mode,
    published: bool,
    random_tasks: bool = True,
) -> Iterator[Series]:
    """A curve of differences from the base; none without values."""
    networks, of_mode = by_n(rows, mode), repeats(rows, mode)
    points = []
    for n, value in values.items():
        paired = mean_difference(of_mode, bases, [n], random_tasks)
        low, high = (paired.low, paired.high) if paired else (None, None)
        text = f"{percentage(value)} points{by_pairs(paired)}"
        points.append(Point(n, n, value, low, high, text, names(networks.get(n, ()))))
    if points:
        line = ((0.0, 0.0), *((point.x, point.y) for point in points))
        yield Series(label, look, published, tuple(points), line)


def _range(relative: Iterable[Series]) -> tuple[float, float]:
    """Of the relative panel: as in the paper, random features must not flatten the others."""
    own = [series for series in relative if not series.published]
    values = [point.y for series in own for point in series.points]
    shown = [point.y for series in own if series.look != "random" for point in series.points]
    return 1.2 * min([*(shown or values), -0.01]), max(0.02, 1.2 * max(values))
