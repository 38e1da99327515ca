"""The paper's figures, drawn from rows of results.

Each function returns a matplotlib figure, or None if no network of its kind has an accuracy.
Published rows are drawn in gray, underneath.
"""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caffe_transfer.report import decomposition, supplement
from caffe_transfer.report.decomposition import Levels, Values
from caffe_transfer.report.style import (
    BLUE,
    CHOPPED,
    GRAY,
    LIGHT_BLUE,
    LIGHT_GRAY,
    LIGHT_RED,
    OLIVE,
    ORANGE,
    OUTLINE,
    PUBLISHED,
    RED,
    REFERENCE,
    TOP1,
    Rows,
    cut_axis,
    legend,
    line,
    means_from_base,
    styled,
)  # fmt: skip
from caffe_transfer.studies.network import NATMAN, Mode


def draw_all(rows: Rows, published: Rows = ()) -> dict[str, Figure]:
    """All figures that there are results for, by the names of their files."""
    drawn = {
        "figure2": figure2(rows, published),
        "figure3": figure3(rows, published),
        "reduced": supplement.reduced(rows, published),
        "preserved": supplement.preserved(rows, published),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


@styled()
def figure2(rows: Rows, published: Rows = ()) -> Figure | None:
    """Figure 2 of the paper: above every network, below the means and what the drops are due to.

    Args:
        rows: results, such as `read_results(folder).rows`.
        published: results to draw in gray, underneath.

    Returns:
        None without a scored selffer or transfer network of a random split.
    """
    own, theirs = decomposition.levels(rows), decomposition.levels(published)
    if not own:
        return None
    figure = Figure(figsize=(8, 9), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    if theirs:
        _points(upper, theirs, published=True)
        _means(lower, theirs, published=True)
    _points(upper, own)
    _means(lower, own)
    _shades(lower, own)
    for axes in (upper, lower):
        axes.set_ylabel(f"{TOP1} (higher is better)")
        cut_axis(axes, max([*own.cuts, *theirs.cuts]))
    lower.set_xlabel(CHOPPED)
    legend(upper)
    legend(lower)
    return figure


def _kinds(level: Levels) -> Iterator[tuple[str, Values, float, dict[str, Any]]]:
    """Label, values, offset beside n, and style of the four kinds of networks."""
    selffer, transfer = (f"{base}n{level.letter}" for base in (level.letter, level.other))
    for label, values, offset, marker, color in (
        (f"selffer {selffer}", level.selffer, -0.22, "o", BLUE),
        (f"selffer {selffer}$^+$", level.selffer_plus, -0.07, "o", LIGHT_BLUE),
        (f"transfer {transfer}", level.transfer, 0.08, "D", RED),
        (f"transfer {transfer}$^+$", level.transfer_plus, 0.24, "D", LIGHT_RED),
    ):
        yield label, values, offset, {"marker": marker, "color": color}


def _points(axes: Axes, level: Levels, published: bool = False) -> None:
    under = PUBLISHED if published else {"zorder": 4}
    base_style = REFERENCE | ({"markeredgecolor": GRAY, "zorder": 2} if published else {})
    label = "published" if published else f"base{level.letter}"
    axes.plot([0] * len(level.base), level.base, **base_style, label=label)
    for name, values, shift, look in _kinds(level):
        at = [n + shift for n, of_n in values.items() for _ in of_n]
        heights = [value for of_n in values.values() for value in of_n]
        if not at:
            continue
        look = OUTLINE | look | under
        if published and "$^+$" in name:
            look["color"] = LIGHT_GRAY
        look["label"] = None if published else name
        axes.plot(at, heights, linestyle="none", **look)
        if "$^+$" in name:
            axes.plot(at, heights, "+", color=look["markeredgecolor"], zorder=look["zorder"])


def _means(axes: Axes, level: Levels, published: bool = False) -> None:
    base = level.base_level
    for name, values, _, look in _kinds(level):
        x, y = line(values, base)
        if not values:
            continue
        if published:
            color = LIGHT_GRAY if "$^+$" in name else GRAY
            axes.plot(x, y, "--", marker=look["marker"], markersize=4, color=color, zorder=2)
        else:
            axes.plot(x, y, ".-", color=look["color"], label=f"mean {name}", zorder=4)
    if base is not None:
        edge = GRAY if published else "black"
        axes.axhline(base, color=edge, linestyle="--", linewidth=1, zorder=1.5)
        label = "published" if published else f"mean base{level.letter}"
        axes.plot([0], [base], **(REFERENCE | {"markeredgecolor": edge}), label=label)


def _shades(axes: Axes, level: Levels) -> None:
    """Shade the drops and the boost, where the means lie in the order that the paper names."""
    base = level.base_level
    if base is None:
        return
    selffer = means_from_base(level.selffer, base)
    transfer = means_from_base(level.transfer, base)
    boosted = means_from_base(level.transfer_plus, base)
    # The boost lies lowest: a drop from selffers that are above the base is to be seen through it.
    for upper, lower, color, zorder, label in (
        (dict.fromkeys(selffer, base), selffer, "#ececff", 1, "drop: lost co-adaptation"),
        (selffer, transfer, "#ffcaca", 1, "drop: representation specificity"),
        (boosted, dict.fromkeys(boosted, base), "#ffeded", 0.9, _boost_label(level)),
    ):
        x = sorted(upper.keys() & lower.keys())
        top, bottom = [upper[n] for n in x], [lower[n] for n in x]
        if not any(t > b for t, b in zip(top, bottom, strict=True)):
            continue
        where = [t >= b for t, b in zip(top, bottom, strict=True)]
        look: dict[str, Any] = {"color": color, "linewidth": 0, "label": label, "zorder": zorder}
        axes.fill_between(x, top, bottom, where, interpolate=True, **look)


def _boost_label(level: Levels) -> str:
    """Names the control too: over the base alone, the boost may be due to longer training."""
    control = f"{level.letter}n{level.letter}$^+$"
    control = f"control: {control}" if level.selffer_plus else f"no control {control}"
    return f"boost over the base ({control})"


@styled()
def figure3(rows: Rows, published: Rows = ()) -> Figure | None:
    """Figure 3 of the paper: dissimilar tasks, random filters, and both relative to their bases.

    Args:
        rows: results, such as `read_results(folder).rows`.
        published: results to draw in gray, underneath.

    Returns:
        None without a scored transfer of a non-random split or network with random filters.
    """
    tasks, random = decomposition.by_task(rows), decomposition.by_n(rows, Mode.RANDOM)
    draw = {_draw_tasks: tasks, _draw_random: random}
    draw = {function: values for function, values in draw.items() if values}
    if not draw:
        return None
    figure = Figure(figsize=(8, 7), layout="constrained")
    grid = figure.add_gridspec(2, len(draw), height_ratios=[1, 1.8])
    upper = [figure.add_subplot(grid[0, column]) for column in range(len(draw))]
    relative = figure.add_subplot(grid[1, :])
    for data, is_published in ((published, True), (rows, False)):
        for axes, function in zip(upper, draw, strict=True):
            function(axes, data, is_published)
        _draw_relative(relative, data, is_published)
    upper[0].set_ylabel(TOP1)
    relative.set_ylabel("Relative top-1 accuracy (higher is better)")
    relative.set_xlabel(CHOPPED)
    last = max(_cuts_of_figure3([*rows, *published]))
    for axes in figure.axes:
        cut_axis(axes, last)
    if relative.lines:
        legend(relative)
    return figure


def _cuts_of_figure3(rows: Rows) -> set[int]:
    """Every n that figure 3 has a point for."""
    tasks = (values for _, values in decomposition.by_task(rows).values())
    random = decomposition.by_n(rows, Mode.RANDOM)
    return {n for values in (*tasks, random, decomposition.levels(rows).transfer) for n in values}


def _draw_tasks(axes: Axes, rows: Rows, published: bool) -> None:
    for base, values in decomposition.by_task(rows).values():
        _curve(axes, base, values, "H", ORANGE, published)
    if not published:
        splits = _dissimilar_splits(rows)
        natman = splits == [NATMAN]
        axes.set_title("Man-made/natural split" if natman else f"Split {', '.join(splits)}")


def _draw_random(axes: Axes, rows: Rows, published: bool) -> None:
    values = decomposition.by_n(rows, Mode.RANDOM)
    _curve(axes, decomposition.whole_base(rows), values, "v", OLIVE, published)
    axes.set_title("Random, untrained filters")


def _dissimilar_splits(rows: Rows) -> list[str]:
    """The splits that are not random, by name."""
    tasks = decomposition.by_task(rows)
    splits = {row.network.split for row in rows if row.network.task in tasks}
    return sorted(split for split in splits if split is not None)


def _curve(
    axes: Axes, base: float | None, values: Values, marker: str, color: str, published: bool
) -> None:
    x, y = line(values, base)
    if not x:
        return
    under = PUBLISHED if published else {"color": color, "zorder": 4}
    axes.plot(x, y, marker=marker, **(OUTLINE | under))
    if base is not None:
        axes.plot([0], [base], **(REFERENCE | ({"markeredgecolor": GRAY} if published else {})))


def _draw_relative(axes: Axes, rows: Rows, published: bool) -> None:
    """Means minus the level of their bases; random filters may fall below the panel."""
    level = decomposition.levels(rows)
    name = f"mean {level.other}n{level.letter}"
    splits = _dissimilar_splits(rows)
    split = "m/n split" if splits == [NATMAN] else f"split {', '.join(splits)}"
    transfer = decomposition.less(level.transfer, level.base_level)
    random = decomposition.less(
        decomposition.by_n(rows, Mode.RANDOM), decomposition.whole_base(rows)
    )
    curves = [
        (f"{name}, random splits", transfer, "D", RED),
        (f"{name}, {split}", decomposition.mean_of_tasks(rows), "H", ORANGE),
        ("random features", random, "v", OLIVE),
    ]
    curves = [curve for curve in curves if curve[1]]
    if not curves:
        return
    for label, relative, marker, color in curves:
        style = OUTLINE | {"color": color, "label": label, "zorder": 4}
        if published:
            style |= PUBLISHED | {"label": f"published {label}"}
        axes.plot([0, *relative], [0, *relative.values()], marker=marker, **style)
    if not published:
        axes.plot([0], [0], **REFERENCE, label="reference")
        shown = [v for _, relative, marker, _ in curves if marker != "v" for v in relative.values()]
        if shown:  # as in the paper: the drop of random features must not flatten the others
            highest = max(v for _, relative, _, _ in curves for v in relative.values())
            axes.set_ylim(bottom=1.2 * min([*shown, -0.01]), top=max(0.02, 1.2 * highest))
