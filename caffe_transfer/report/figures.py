"""The paper's figures, from rows of results.

Each function returns a matplotlib figure, or None where no network of the kind has an accuracy.
Published rows, where given, lie under one's own in gray.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caffe_transfer.report import decomposition, style
from caffe_transfer.report.decomposition import Levels, Values
from caffe_transfer.report.results import Row
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
    layers_below,
    legend,
    line,
    pairs,
)  # fmt: skip
from caffe_transfer.studies.network import MAX_N, Mode

Rows = Sequence[Row]


def draw_all(rows: Rows, published: Rows = ()) -> dict[str, Figure]:
    """All figures for which there are networks, by the names of their files."""
    with style.style():
        drawn = {
            "figure2": figure2(rows, published),
            "figure3": figure3(rows, published),
            "reduced": reduced(rows, published),
            "preserved": preserved(rows, published),
        }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def figure2(rows: Rows, published: Rows = ()) -> Figure | None:
    """Figure 2: above every network, below the means, with what the drops are due to."""
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
        layers_below(axes)
    lower.set_xlabel(CHOPPED)
    legend(upper)
    legend(lower)
    return figure


def _kinds(level: Levels) -> Iterator[tuple[str, Values, float, dict[str, Any]]]:
    """Label, values, place beside n, and style of the four kinds of networks."""
    self_name = f"selffer {level.letter}n{level.letter}"
    transfer_name = f"transfer {level.other}n{level.letter}"
    yield self_name, level.selffer, -0.22, {"marker": "o", "color": BLUE}
    yield f"{self_name}$^+$", level.selffer_plus, -0.07, {"marker": "o", "color": LIGHT_BLUE}
    yield transfer_name, level.transfer, 0.08, {"marker": "D", "color": RED}
    yield f"{transfer_name}$^+$", level.transfer_plus, 0.24, {"marker": "D", "color": LIGHT_RED}


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
    """Fill what lies between two means, where it goes the way that the paper names."""
    base = level.base_level
    if base is None:
        return
    selffer, transfer = dict(pairs(level.selffer, base)), dict(pairs(level.transfer, base))
    boosted = dict(pairs(level.transfer_plus, base))
    level_line = dict.fromkeys(range(MAX_N + 1), base)
    for upper, lower, color, label in (
        (level_line, selffer, "#ececff", "drop: lost co-adaptation"),
        (selffer, transfer, "#ffcaca", "drop: representation specificity"),
        (boosted, level_line, "#ffeded", "boost: transfer + fine-tuning"),
    ):
        x = sorted(upper.keys() & lower.keys())
        if len(x) < 2:
            continue
        top, bottom = [upper[n] for n in x], [lower[n] for n in x]
        where = [t >= b for t, b in zip(top, bottom, strict=True)]
        axes.fill_between(
            x, top, bottom, where, interpolate=True, color=color, linewidth=0, label=label, zorder=1
        )


def figure3(rows: Rows, published: Rows = ()) -> Figure | None:
    """Figure 3: dissimilar tasks, random filters, and both relative to their bases."""
    upper = {
        "dissimilar": decomposition.by_task(rows),
        "random": decomposition.by_n(rows, Mode.RANDOM),
    }
    drawn = [name for name, values in upper.items() if values]
    if not drawn:
        return None
    figure = Figure(figsize=(8, 7), layout="constrained")
    grid = figure.add_gridspec(2, len(drawn), height_ratios=[1, 1.8])
    panels = {name: figure.add_subplot(grid[0, column]) for column, name in enumerate(drawn)}
    panels["relative"] = figure.add_subplot(grid[1, :])
    for data, is_published in ((published, True), (rows, False)):
        for name in drawn:
            (_dissimilar if name == "dissimilar" else _random_filters)(
                panels[name], data, is_published
            )
        _relative(panels["relative"], data, is_published)
    titles = {"dissimilar": "Man-made/natural split", "random": "Random, untrained filters"}
    for name in drawn:
        panels[name].set_title(titles[name])
    panels[drawn[0]].set_ylabel(TOP1)
    panels["relative"].set_ylabel("Relative top-1 accuracy (higher is better)")
    panels["relative"].set_xlabel(CHOPPED)
    for axes in panels.values():
        layers_below(axes)
    if panels["relative"].lines:
        legend(panels["relative"])
    return figure


def _dissimilar(axes: Axes, rows: Rows, published: bool) -> None:
    for base, values in decomposition.by_task(rows).values():
        _curve(axes, base, values, "H", ORANGE, published)


def _random_filters(axes: Axes, rows: Rows, published: bool) -> None:
    _curve(
        axes,
        decomposition.whole_base(rows),
        decomposition.by_n(rows, Mode.RANDOM),
        "v",
        OLIVE,
        published,
    )


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


def _relative(axes: Axes, rows: Rows, published: bool) -> None:
    """Means less their bases' level; random filters may leave the panel below."""
    level = decomposition.levels(rows)
    name = f"mean {level.other}n{level.letter}"
    random = decomposition.by_n(rows, Mode.RANDOM)
    curves = [
        (f"{name}, random splits", decomposition.less(level.transfer, level.base_level), "D", RED),
        (f"{name}, m/n split", decomposition.mean_of_tasks(rows), "H", ORANGE),
        (
            "random features",
            decomposition.less(random, decomposition.whole_base(rows)),
            "v",
            OLIVE,
        ),
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
        if shown:  # as in the paper, the drop of random features does not flatten the others
            highest = max(v for _, relative, _, _ in curves for v in relative.values())
            axes.set_ylim(bottom=1.2 * min([*shown, -0.01]), top=max(0.02, 1.2 * highest))


def reduced(rows: Rows, published: Rows = ()) -> Figure | None:
    """The supplement's figure: fewer training images of each class, linear and logarithmic."""
    own, theirs = decomposition.by_images(rows), decomposition.by_images(published)
    if not own:
        return None
    figure = Figure(figsize=(7, 6), layout="constrained")
    linear, logarithmic = figure.subplots(2, 1)
    for axes in (linear, logarithmic):
        for curve, color, label in ((theirs, GRAY, "published"), (own, BLUE, "this study")):
            if curve:
                edges = {"markeredgecolor": "black", "markeredgewidth": 0.7}
                axes.plot(
                    list(curve), list(curve.values()), "o-", color=color, label=label, **edges
                )
        axes.set_ylabel(TOP1)
        if theirs:
            axes.legend()
    linear.set_ylim(bottom=0)
    linear.set_xlim(left=0)
    linear.set_xlabel("Number of examples per class (linear)")
    logarithmic.set_xscale("log")
    logarithmic.set_yscale("log")
    logarithmic.set_xlabel("Number of examples per class (log)")
    return figure


def preserved(rows: Rows, published: Rows = ()) -> Figure | None:
    """The authors' unpublished figure: K layers above the frozen ones copied and fine-tuned."""
    networks = [network for network, _ in decomposition.measured(rows) if network.preserve]
    splits = {network.split for network in networks if decomposition.is_random(network)}
    kept = sorted({0, *(network.preserve for network in networks)})
    if not splits:
        return None
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    letter, other = (level := decomposition.levels(rows)).letter, level.other
    dashes = ("-", "--", ":", "-.")
    for data, is_published in ((published, True), (rows, False)):
        chosen = [row for row in data if row.network.split in splits]
        for mode, color, first in ((Mode.SELFFER, BLUE, letter), (Mode.TRANSFER, RED, other)):
            for layers in kept:
                values = decomposition.by_n(chosen, mode, preserve=layers)
                x, y = line(values, None)
                name = f"{first}n{letter}" + (f", preserve {layers}" if layers else "")
                if x:
                    shade = GRAY if is_published else color
                    label = None if is_published else name
                    axes.plot(x, y, dashes[layers % 4], marker=".", color=shade, label=label)
    axes.set_xlabel("Layer $n$ up to which features are frozen")
    axes.set_ylabel(TOP1)
    axes.set_title("Frozen features, and K layers above them kept and fine-tuned")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)
    return figure
