"""Figures beyond the paper's two: fewer training images, and preserved layers.

Each function returns a matplotlib figure, or None if no network of its kind has an accuracy.
"""

from typing import Any

from matplotlib.figure import Figure

from caffe_transfer.report import decomposition
from caffe_transfer.report.figure2_contents import Rows, top1
from caffe_transfer.report.groups import RANDOM_HALVES, by_group, cut_names, group_of, title
from caffe_transfer.report.repeats import mean_difference, repeats
from caffe_transfer.report.style import (
    BLUE,
    GRAY,
    RED,
    Bars,
    cut_axis,
    legend,
    line,
    styled,
    width,
)
from caffe_transfer.studies.network import Mode


@styled()
def reduced(rows: Rows, published: Rows = (), bare: bool = False) -> Figure | None:
    """The supplement's figure: fewer training images per class, on linear and logarithmic axes."""
    own, theirs = decomposition.by_images(rows), decomposition.by_images(published)
    if not own:
        return None
    figure = Figure(figsize=(7, 6), layout="constrained")
    linear, logarithmic = figure.subplots(2, 1)
    for axes in (linear, logarithmic):
        for curve, color, label in ((theirs, GRAY, "published"), (own, BLUE, "this study")):
            if curve:
                look: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.7}
                look |= {"color": color, "label": label, "clip_on": False}
                axes.plot(list(curve), [each.value for each in curve.values()], "o-", **look)
        axes.set_ylabel(top1(rows))
    linear.set_ylim(bottom=0)
    linear.set_xlim(left=0)
    linear.set_xlabel("Number of examples per class (linear)")
    logarithmic.set_xscale("log")
    logarithmic.set_yscale("log")
    logarithmic.set_xlabel("Number of examples per class (log)")
    for axes in (linear, logarithmic):
        if not bare:
            bars = Bars(axes)
            bars.draw(own.items(), "black")
            bars.finish()
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend()
    return figure


def preserved_groups(rows: Rows) -> list[str]:
    """The groups of splits that have networks with preserved layers."""
    found = {
        group: any(network.preserve for network, _ in decomposition.measured(of_group))
        for group, of_group in by_group(rows).items()
    }
    return [group for group, there in found.items() if there]


@styled()
def preserved(
    rows: Rows, published: Rows = (), group: str = RANDOM_HALVES, bare: bool = False
) -> Figure | None:
    """The authors' unpublished figure: K layers above the frozen ones copied and fine-tuned."""
    networks = [
        network
        for network, _ in decomposition.measured(rows)
        if network.preserve and group_of(network) == group
    ]
    splits = {network.split for network in networks}
    kept = sorted({0, *(network.preserve for network in networks)})
    if not splits:
        return None
    last = max(row.network.n for row in [*rows, *published] if row.network.split in splits)
    figure = Figure(figsize=(width(last) - 1, 5.5), layout="constrained")
    axes = figure.subplots()
    letter, other = (level := decomposition.levels(rows, group)).letter, level.other
    dashes = ("-", "--", ":", "-.")
    bars = Bars(axes)
    for data, is_published in ((published, True), (rows, False)):
        chosen = [row for row in data if row.network.split in splits]
        for mode, color, first in ((Mode.SELFFER, BLUE, letter), (Mode.TRANSFER, RED, other)):
            for layers in kept:
                values = decomposition.by_n(chosen, mode, preserve=layers)
                x, y = line(values, None)
                name = f"{first}n{letter}" + (f", preserve {layers}" if layers else "")
                if not (is_published or bare or level.base_level is None):
                    found, base = repeats(chosen, mode, preserve=layers), level.repeats["base"]
                    differences = [
                        (n, mean_difference(found, base, [n], level.random_tasks)) for n in x
                    ]
                    bars.draw(differences, color, level.base_level)
                if x:
                    shade = GRAY if is_published else color
                    label = None if is_published else name
                    axes.plot(x, y, dashes[layers % 4], marker=".", color=shade, label=label)
    axes.set_xlabel("Layer $n$ up to which features are frozen")
    axes.set_ylabel(top1(rows))
    of_split = "" if group == RANDOM_HALVES else f"{title(group)}: "
    axes.set_title(f"{of_split}Frozen features, and K layers above them kept and fine-tuned")
    cut_axis(axes, last, cut_names(rows), first=1)
    bars.finish("of the difference from the base, by pairs")
    legend(axes)
    return figure
