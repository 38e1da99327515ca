"""What the figures share: their style, their axes, and files that are the same every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caffe_transfer.files import atomic_write
from caffe_transfer.report.decomposition import Values
from caffe_transfer.studies.network import MAX_N

SUFFIXES = ("png", "pdf", "svg")
_NO_DATE: dict[str, dict[str, Any]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
STYLE: Any = {
    "font.size": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "lines.markersize": 7,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "svg.hashsalt": "caffe-transfer",
}
_DPI = 160
BLUE, LIGHT_BLUE, RED, LIGHT_RED = "#0000ee", "#a8a8ff", "#ee0000", "#ffa0a0"
ORANGE, OLIVE, GRAY, LIGHT_GRAY = "#ff8c00", "#bcbc00", "#9a9a9a", "#d4d4d4"
CHOPPED = "Layer $n$ at which the network is cut and retrained"
TOP1 = "Top-1 accuracy"
OUTLINE: dict[str, Any] = {"markeredgecolor": "#333333", "markeredgewidth": 0.6}
PUBLISHED: dict[str, Any] = {"color": GRAY, "zorder": 2, "markeredgecolor": "#777777"}
REFERENCE: dict[str, Any] = {
    "marker": "o", "markerfacecolor": "white", "markeredgecolor": "black",
    "markeredgewidth": 1.5, "linestyle": "none", "markersize": 8, "zorder": 5,
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """The figures' look, whatever the user's own settings of matplotlib are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its suffix says; the same figure gives the same bytes."""
    kind = path.suffix.removeprefix(".")
    with style(), atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=_DPI, metadata=_NO_DATE[kind])


def line(values: Values, base: float | None) -> tuple[list[int], list[float]]:
    """The means over each n as x and y; it begins with the base, where there is one."""
    points = pairs(values, base)
    return [n for n, _ in points], [value for _, value in points]


def pairs(values: Values, base: float | None) -> list[tuple[int, float]]:
    """The mean of each n, after the base as n = 0; nothing where there are no values."""
    if not values:
        return []
    start = [] if base is None else [(0, base)]
    return start + [(n, fmean(of_n)) for n, of_n in sorted(values.items())]


def layers_below(axes: Axes) -> None:
    """The axis of n, from the base at 0 to the last layer that can be cut at."""
    axes.set_xlim(-0.4, MAX_N + 0.5)
    axes.set_xticks(range(MAX_N + 1))


def legend(axes: Axes) -> None:
    """A legend where it hides the least."""
    axes.legend(loc="best")
