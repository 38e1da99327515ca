"""The paper's figures, drawn from rows of results; here Figure 2, elsewhere the others.

Each function returns a matplotlib figure, or None if no network of its kind has an accuracy.
Published rows are drawn in gray, underneath. Figure 2 is of one group of splits: the random halves,
or a named split.
"""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caffe_transfer.report import decomposition, supplement
from caffe_transfer.report.decomposition import Levels, Values
from caffe_transfer.report.dissimilar import figure3
from caffe_transfer.report.figure2_contents import (
    OFFSETS,
    Rows,
    figure2_groups,
    label_of,
    shades,
    top1,
)
from caffe_transfer.report.figure3_contents import dissimilar_splits
from caffe_transfer.report.groups import RANDOM_HALVES, cut_names, title
from caffe_transfer.report.intervals import accuracy
from caffe_transfer.report.style import (
    BLUE,
    CHOPPED,
    GRAY,
    LIGHT_BLUE,
    LIGHT_GRAY,
    LIGHT_RED,
    OUTLINE,
    PUBLISHED,
    RED,
    REFERENCE,
    Bars,
    cut_axis,
    legend,
    line,
    styled,
    width,
)  # fmt: skip
from caffe_transfer.studies.network import NATMAN, Mode

__all__ = ["draw_all", "figure2", "figure2_groups", "figure3"]


def draw_all(rows: Rows, published: Rows = (), bare: bool = False) -> dict[str, Figure]:
    """All figures that there are results for, by the names of their files.

    The first group of splits gives figure2, each further one figure2-NAME; preserved likewise.

    Args:
        published: results to draw in gray, underneath.
        bare: as the paper does, without intervals.
    """
    drawn: dict[str, Figure | None] = {}
    for i, group in enumerate(figure2_groups(rows)):
        drawn["figure2" if i == 0 else f"figure2-{group}"] = figure2(rows, published, group, bare)
    if not _is_shown_by_figure2(rows):
        drawn["figure3"] = figure3(rows, published, bare)
    drawn["reduced"] = supplement.reduced(rows, published, bare)
    for i, group in enumerate(supplement.preserved_groups(rows)):
        name = "preserved" if i == 0 else f"preserved-{group}"
        drawn[name] = supplement.preserved(rows, published, group, bare)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _is_shown_by_figure2(rows: Rows) -> bool:
    """Whether Figure 3 has one custom split to show and nothing else, which Figure 2 shows."""
    shown = {*dissimilar_splits(rows), *figure2_groups(rows)}
    return len(shown) == 1 and NATMAN not in shown and not decomposition.by_n(rows, Mode.RANDOM)


@styled()
def figure2(
    rows: Rows, published: Rows = (), group: str | None = None, bare: bool = False
) -> Figure | None:
    """Figure 2 of the paper: above every network, below the means and what the drops are due to.

    Args:
        rows: results, such as `read_results(folder).rows`.
        published: results to draw in gray, underneath.
        group: "random halves", or the name of a split; None for the first of `figure2_groups`.
        bare: as the paper does, without intervals.

    Returns:
        None without a scored selffer or transfer network of the group.
    """
    if group is None:
        group = next(iter(figure2_groups(rows)), RANDOM_HALVES)
    own, theirs = (decomposition.levels(data, group) for data in (rows, published))
    if not own:
        return None
    last = max([*own.cuts, *theirs.cuts])
    figure = Figure(figsize=(width(last), 9), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    if theirs:
        _points(upper, theirs, published=True)
        _means(lower, theirs, published=True)
    _points(upper, own)
    _means(lower, own)
    _shades(lower, own)
    if not bare:
        _intervals(upper, lower, own)
    if group != RANDOM_HALVES:
        upper.set_title(title(group))
    for axes in (upper, lower):
        axes.set_ylabel(f"{top1(rows)} (higher is better)")
        cut_axis(axes, last, cut_names(rows))
    lower.set_xlabel(CHOPPED)
    legend(upper)
    legend(lower)
    return figure


_LOOKS: dict[str, dict[str, Any]] = {
    "selffer": {"marker": "o", "color": BLUE},
    "selffer_plus": {"marker": "o", "color": LIGHT_BLUE},
    "transfer": {"marker": "D", "color": RED},
    "transfer_plus": {"marker": "D", "color": LIGHT_RED},
}
# Color and layer. The boost lies lowest: a drop from selffers that are above the base is to be seen
# through it.
_SHADES = {
    "co-adaptation": ("#ececff", 1.0),
    "specificity": ("#ffcaca", 1.0),
    "boost": ("#ffeded", 0.9),
}
PLUS = "$^+$"  # the sign for fine-tuned networks, in matplotlib's labels
_OF_MEANS = 0.25  # of the offset: intervals of means lie close beside n


def _kinds(level: Levels) -> Iterator[tuple[str, Values, float, dict[str, Any]]]:
    """Label, values, offset beside n, and look of the four kinds of networks."""
    for kind, offset in OFFSETS.items():
        yield label_of(kind, level, PLUS), getattr(level, kind), offset, dict(_LOOKS[kind])


def _intervals(upper: Axes, lower: Axes, level: Levels) -> None:
    """Above those of each network, below those of the differences from the base, by pairs.

    The latter stand relative to the line of the base, whatever the mean: where some tasks have one
    kind of networks only, part of its distance from that line is that of the tasks' difficulty.
    """
    above, below = Bars(upper), Bars(lower)
    for kind, offset in {"base": 0.0, **OFFSETS}.items():
        color = _LOOKS[kind]["color"] if kind in _LOOKS else "black"
        for repeat, by_n in level.repeats[kind].items():
            points = [(n + offset, accuracy({repeat: score})) for n, score in by_n.items()]
            above.draw(points, color)
        if kind != "base" and level.base_level is not None:
            differences = [
                (n + _OF_MEANS * offset, level.difference(kind, "base", [n])) for n in level.cuts
            ]
            below.draw(differences, color, level.base_level)
    above.finish("of each network")
    below.finish("of the difference from the base, by pairs")


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
        if published and PLUS in name:
            look["color"] = LIGHT_GRAY
        look["label"] = None if published else name
        axes.plot(at, heights, linestyle="none", **look)
        if PLUS in name:
            axes.plot(at, heights, "+", color=look["markeredgecolor"], zorder=look["zorder"])


def _means(axes: Axes, level: Levels, published: bool = False) -> None:
    base = level.base_level
    for name, values, _, look in _kinds(level):
        x, y = line(values, base)
        if not values:
            continue
        if published:
            color = LIGHT_GRAY if PLUS in name else GRAY
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
    for shade in shades(level, PLUS):
        color, zorder = _SHADES[shade.key]
        x = list(shade.upper)
        top, bottom = list(shade.upper.values()), list(shade.lower.values())
        where = [t >= b for t, b in zip(top, bottom, strict=True)]
        look: dict[str, Any] = {
            "color": color, "linewidth": 0, "label": shade.label, "zorder": zorder,
        }  # fmt: skip
        axes.fill_between(x, top, bottom, where, interpolate=True, **look)
