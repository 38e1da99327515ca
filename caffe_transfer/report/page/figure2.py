"""Figure 2 of the paper as data for the page: what figures.py draws."""

from collections.abc import Iterator

from caffe_transfer.report import decomposition, groups
from caffe_transfer.report.decomposition import Levels
from caffe_transfer.report.figure2_contents import OFFSETS, label_of, shades, top1
from caffe_transfer.report.page.points import (
    PLUS,
    Area,
    ByN,
    Panel,
    Rows,
    Series,
    by_n,
    level_point,
    mean,
    single,
)
from caffe_transfer.studies.network import Mode

_CLOSER = 0.3  # of the offsets: intervals of means lie close beside n


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
            means += _means(level, of_group, is_published)
    y_label = top1(rows)
    return (
        Panel("Every network", y_label, tuple(singles), cuts, last, level=own.base_level),
        Panel("Means", y_label, tuple(means), cuts, last, _areas(own), own.base_level),
    )


def _of_group(rows: Rows, group: str) -> Rows:
    return [row for row in rows if groups.group_of(row.network) == group]


def _kinds(level: Levels, rows: Rows) -> Iterator[tuple[str, str, float, ByN]]:
    """Label, look, offset beside n and networks of the four kinds."""
    for kind, offset in OFFSETS.items():
        if found := by_n(rows, *decomposition.KINDS[kind]):
            yield label_of(kind, level, PLUS), kind.replace("_", "-"), offset, found


def _bases(level: Levels, rows: Rows) -> Rows:
    """The bases whose mean is the level's."""
    targets = {row.network.target for row in rows if row.network.n}
    bases = by_n(rows, Mode.BASE).get(0, ())
    return [row for row in bases if level.base and row.network.target in targets]


def _singles(level: Levels, rows: Rows, published: bool) -> Iterator[Series]:
    if bases := _bases(level, rows):
        points = tuple(single(row, 0) for row in bases)
        yield Series(f"base{level.letter}", "base", published, points)
    for label, look, offset, found in _kinds(level, rows):
        singles = (single(row, offset) for of_n in found.values() for row in of_n)
        yield Series(label, look, published, tuple(singles))


def _means(level: Levels, rows: Rows, published: bool) -> Iterator[Series]:
    start: tuple[tuple[float, float], ...] = ()
    base = level.base_level
    if (bases := _bases(level, rows)) and base is not None:
        start = ((0, base),)
        of_base = level_point(0, bases, level.random_tasks)
        yield Series(f"base{level.letter}", "base", published, (of_base,))
    for label, look, offset, found in _kinds(level, rows):
        kind = look.replace("-", "_")
        points = tuple(
            mean(of_n, base, level.difference(kind, "base", [n])) for n, of_n in found.items()
        )
        line = (*start, *((point.x, point.y) for point in points))
        yield Series(label, look, published, points, line, _CLOSER * offset)


def _areas(level: Levels) -> tuple[Area, ...]:
    """The drops and the boost; the page shades them where upper lies above lower."""
    # The page draws one over the other: the boost lies lowest, as in figures.py.
    found = sorted(shades(level, PLUS), key=lambda shade: shade.key != "boost")
    return tuple(
        Area(
            shade.label,
            shade.key,
            tuple((float(n), top, shade.lower[n]) for n, top in shade.upper.items()),
        )
        for shade in found
    )
