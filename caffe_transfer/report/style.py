"""Shared by the figures: their style, their axes, and saving them reproducibly."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caffe_transfer.files import atomic_write
from caffe_transfer.report.decomposition import Values
from caffe_transfer.report.results import Row

Rows: TypeAlias = Sequence[Row]

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
def styled() -> Iterator[None]:
    """Draw in our style, whatever the user's matplotlib settings; also a decorator."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the suffix; the same figure gives the same bytes."""
    kind = path.suffix.removeprefix(".")
    with styled(), atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=_DPI, metadata=_NO_DATE[kind])


def line(values: Values, base: float | None) -> tuple[list[int], list[float]]:
    """The means at each n as x and y, from the base on if there is one; empty without values."""
    means = means_from_base(values, base)
    return list(means), list(means.values())


def means_from_base(values: Values, base: float | None) -> dict[int, float]:
    """The mean at each n, and the base as n = 0 if there is one; empty without values."""
    if not values:
        return {}
    start = {} if base is None else {0: base}
    return start | {n: fmean(of_n) for n, of_n in sorted(values.items())}


def cut_axis(axes: Axes, last: int) -> None:
    """The axis of n, from the base at 0 to the highest cut `last`."""
    axes.set_xlim(-0.4, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, steps=[1, 2, 5, 10], integer=True))


def legend(axes: Axes) -> None:
    """A legend where it hides least."""
    axes.legend(loc="best")
