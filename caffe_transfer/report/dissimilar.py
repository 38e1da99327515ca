"""Figure 3 of the paper: transfer between dissimilar tasks, and random filters."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caffe_transfer.report import decomposition
from caffe_transfer.report.decomposition import Values
from caffe_transfer.report.figure2_contents import Rows, top1
from caffe_transfer.report.figure3_contents import (
    FILTERS,
    HALVES,
    RelativeCurve,
    dissimilar_splits,
    relative_curves,
    whole,
)
from caffe_transfer.report.groups import cut_names, title
from caffe_transfer.report.repeats import Repeats, mean_level, repeats
from caffe_transfer.report.style import (
    CHOPPED,
    GRAY,
    OLIVE,
    OUTLINE,
    PUBLISHED,
    RED,
    REFERENCE,
    SPLITS,
    Bars,
    cut_axis,
    legend,
    line,
    styled,
    width,
)  # fmt: skip
from caffe_transfer.studies.network import WHOLE, Mode

_RANDOM = {"marker": "v", "color": OLIVE}
_MOST_OF_OTHERS = 2.0  # so far below the deepest of the others random features are still shown


@styled()
def figure3(rows: Rows, published: Rows = (), bare: bool = False) -> Figure | None:
    """Figure 3 of the paper: dissimilar tasks, random filters, and both relative to their bases.

    Args:
        rows: results, such as `read_results(folder).rows`.
        published: results to draw in gray, underneath.
        bare: as the paper does, without intervals.

    Returns:
        None without a scored transfer of a named split or network with random filters.
    """
    splits = tuple(dissimilar_splits(rows))
    random = decomposition.by_n(rows, Mode.RANDOM)
    draw = [f for f, there in ((_draw_tasks, splits), (_draw_random, random)) if there]
    if not draw:
        return None
    last = max(_cuts_of_figure3([*rows, *published]))
    figure = Figure(figsize=(width(last), 7), layout="constrained")
    grid = figure.add_gridspec(2, len(draw), height_ratios=[1, 1.8])
    upper = [figure.add_subplot(grid[0, column]) for column in range(len(draw))]
    relative = figure.add_subplot(grid[1, :])
    for data, is_published in ((published, True), (rows, False)):
        for axes, function in zip(upper, draw, strict=True):
            function(axes, data, splits, is_published)
        _draw_relative(relative, data, splits, is_published)
    if not bare:
        for axes, function in zip(upper, draw, strict=True):
            _level_bars(axes, rows, splits if function is _draw_tasks else ())
        _relative_bars(relative, rows, splits)
    upper[0].set_ylabel(top1(rows))
    relative.set_ylabel(f"Relative {top1(rows).lower()} (higher is better)")
    relative.set_xlabel(CHOPPED)
    for axes in upper:
        cut_axis(axes, last)
    cut_axis(relative, last, cut_names(rows))
    if relative.lines:
        legend(relative)
    return figure


def _cuts_of_figure3(rows: Rows) -> set[int]:
    """Every n that figure 3 has a point for."""
    tasks = (values for _, values in decomposition.by_task(rows).values())
    random = decomposition.by_n(rows, Mode.RANDOM)
    return {n for values in (*tasks, random, decomposition.levels(rows).transfer) for n in values}


def _draw_tasks(axes: Axes, rows: Rows, splits: Sequence[str], published: bool) -> None:
    found = dissimilar_splits(rows)
    for name, look in _looks(splits):
        for base, values in decomposition.by_task(found.get(name, ())).values():
            _curve(axes, base, values, look, published)
    if not published:
        several = len(splits) > 1
        axes.set_title(f"Splits {', '.join(splits)}" if several else title(splits[0]))


def _draw_random(axes: Axes, rows: Rows, splits: Sequence[str], published: bool) -> None:
    values = decomposition.by_n(rows, Mode.RANDOM)
    _curve(axes, decomposition.whole_base(rows), values, _RANDOM, published)
    axes.set_title("Random, untrained filters")


def _looks(splits: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Marker and color of each named split."""
    for i, split in enumerate(splits):
        yield split, {"marker": "Hs^PX"[i % 5], "color": SPLITS[i % len(SPLITS)]}


def _curve(
    axes: Axes, base: float | None, values: Values, look: dict[str, Any], published: bool
) -> None:
    x, y = line(values, base)
    if not x:
        return
    under = PUBLISHED if published else {"zorder": 4}
    axes.plot(x, y, **(OUTLINE | look | under))
    if base is not None:
        axes.plot([0], [base], **(REFERENCE | ({"markeredgecolor": GRAY} if published else {})))


def _draw_relative(axes: Axes, rows: Rows, splits: Sequence[str], published: bool) -> None:
    """Means minus the level of their bases; random filters far below the others leave the panel."""
    curves = [curve for curve in relative_curves(rows, splits) if curve.values]
    if not curves:
        return
    for curve in curves:
        look = OUTLINE | _look(curve, splits) | {"label": curve.label, "zorder": 4}
        if published:
            look |= PUBLISHED | {"label": f"published {curve.label}"}
        axes.plot([0, *curve.values], [0, *curve.values.values()], **look)
    if not published:
        axes.plot([0], [0], **REFERENCE, label="reference")
        shown = [v for curve in curves if curve.key != FILTERS for v in curve.values.values()]
        if shown:  # as in the paper: the drop of random features must not flatten the others
            every = [v for curve in curves for v in curve.values.values()]
            lowest = min([*shown, -0.01])
            lowest = min([lowest, *(v for v in every if v > _MOST_OF_OTHERS * lowest)])
            axes.set_ylim(bottom=1.2 * lowest, top=max(0.02, 1.2 * max(every)))


def _look(curve: RelativeCurve, splits: Sequence[str]) -> dict[str, Any]:
    looks = {f"split{index}": look for index, (_, look) in enumerate(_looks(splits))}
    return {HALVES: {"marker": "D", "color": RED}, FILTERS: _RANDOM, **looks}[curve.key]


def _level_bars(axes: Axes, rows: Rows, splits: Sequence[str]) -> None:
    """The intervals of each task's networks, or, without splits, of random filters."""
    bars = Bars(axes)
    looks = [look for _, look in _looks(splits)] or [_RANDOM]
    data = [_by_task(rows, split) for split in splits] or [{WHOLE: _random_filters(rows)}]
    for look, tasks in zip(looks, data, strict=True):
        for base, found in tasks.values():
            for networks, cuts in ((base, [0]), (found, _cuts(found))):
                bars.draw([(n, mean_level(networks, [n])) for n in cuts], look["color"])
    bars.finish()


def _relative_bars(axes: Axes, rows: Rows, splits: Sequence[str]) -> None:
    """The intervals of the curves' differences from their bases, by pairs."""
    bars = Bars(axes)
    for curve in relative_curves(rows, splits):
        differences = [(n, curve.difference(n)) for n in curve.values]
        bars.draw(differences, _look(curve, splits)["color"])
    bars.finish("of the difference, by pairs")


def _by_task(rows: Rows, split: str) -> dict[str, tuple[Repeats, Repeats]]:
    """The base and the transfers of each task of a split that has transfers."""
    of_split = [row for row in rows if row.network.split == split]
    found = {}
    for task in decomposition.by_task(of_split):
        of_task = [row for row in of_split if row.network.task == task]
        found[task] = repeats(of_task, Mode.BASE), repeats(of_task, Mode.TRANSFER)
    return found


def _random_filters(rows: Rows) -> tuple[Repeats, Repeats]:
    """The base on all classes, and the networks with random filters."""
    return repeats(whole(rows), Mode.BASE), repeats(whole(rows), Mode.RANDOM)


def _cuts(found: Repeats) -> list[int]:
    return sorted({n for by_n in found.values() for n in by_n})
