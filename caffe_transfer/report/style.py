"""Shared by the figures: their style, their axes, and saving them reproducibly."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, MultipleLocator

from caffe_transfer.files import atomic_write
from caffe_transfer.report.decomposition import Values
from caffe_transfer.report.figure2_contents import means_from_base
from caffe_transfer.report.intervals import Estimate, Kind

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
_MARGIN = 0.02  # of the axis, between the end of an interval and the frame
_STRETCH = 0.35  # of the axis, at most, for intervals at either end
_NAME_SIZE, _SMALLEST = 8, 5  # of cuts' names, in points
_LETTER, _LINE = 0.65, 1.2  # width and height that a name takes, in font sizes
_TILT = 40  # degrees
BLUE, LIGHT_BLUE, RED, LIGHT_RED = "#0000ee", "#a8a8ff", "#ee0000", "#ffa0a0"
ORANGE, OLIVE, GRAY, LIGHT_GRAY = "#ff8c00", "#bcbc00", "#9a9a9a", "#d4d4d4"
SPLITS = (ORANGE, "#9932cc", "#008b8b", "#8b4513", "#2e8b57")  # named splits, one after another
CHOPPED = "Layer $n$ at which the network is cut and retrained"
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
        if figure.get_layout_engine() is not None:
            # Once is enough for all formats: laying out takes longer than drawing.
            figure.draw_without_rendering()
            figure.set_layout_engine(None)
        figure.savefig(file, format=kind, dpi=_DPI, metadata=_NO_DATE[kind])


def line(values: Values, base: float | None) -> tuple[list[int], list[float]]:
    """The means at each n as x and y, from the base on if there is one; empty without values."""
    means = means_from_base(values, base)
    return list(means), list(means.values())


def width(last: int) -> float:
    """The width in inches of a figure whose highest cut is `last`: 8 up to 10 cuts, at most 13."""
    return min(13, max(8, 3 + 0.5 * last))


def cut_axis(axes: Axes, last: int, names: Mapping[int, str] | None = None, first: int = 0) -> None:
    """The axis of n, from the base at 0 to the highest cut `last`.

    Args:
        names: of cuts, written under their numbers, tilted or upright where they have no room.
    """
    axes.set_xlim(first - 0.4, last + 0.5)
    axes.xaxis.set_major_locator(
        MultipleLocator(1) if last <= 20 else MaxNLocator(20, steps=[1, 2, 5, 10], integer=True)
    )
    figure = axes.get_figure(root=True)
    assert figure is not None
    room = 72 * 0.85 * figure.get_figwidth() / (last - first + 0.9)  # points from one n to the next
    every = math.ceil(_LINE * _SMALLEST / room)
    shown = {n: name for n, name in (names or {}).items() if n <= last and n % every == 0}
    if not shown:
        return
    angle, size = _fit(max(map(len, shown.values())), room * every)
    # Minor ticks, which are not to give way to the major ones at the same places.
    axes.xaxis.remove_overlapping_locs = False
    axes.xaxis.set_minor_locator(FixedLocator(list(shown)))
    axes.xaxis.set_minor_formatter(FixedFormatter(list(shown.values())))
    axes.tick_params(axis="x", which="minor", length=0, pad=16, labelsize=size)
    for label in axes.xaxis.get_minorticklabels():
        label.set_rotation(angle)
        label.set_rotation_mode("anchor")
        label.set_horizontalalignment("right" if angle else "center")
        label.set_verticalalignment("center" if angle == 90 else "top")


def _fit(letters: int, room: float) -> tuple[float, float]:
    """Angle in degrees and font size in points at which names of so many letters have room."""
    if _LETTER * _NAME_SIZE * letters <= room:
        return 0, _NAME_SIZE
    if room * math.sin(math.radians(_TILT)) >= _LINE * _NAME_SIZE:
        return _TILT, _NAME_SIZE
    return 90, min(_NAME_SIZE, room / _LINE)


class Bars:
    """The intervals of points of some axes, as thin vertical lines.

    They do not stretch the axis by more than a part of what the points take: the interval of two
    repeats can be many times as long.
    """

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._drawn: list[tuple[float, float]] = []
        self._kinds: set[Kind] = set()

    def draw(
        self, points: Iterable[tuple[float, Estimate | None]], color: str, base: float = 0
    ) -> None:
        """Draw the intervals of estimates at their x; differences are from the level `base`."""
        segments = []
        for x, estimate in points:
            if estimate is None or estimate.low is None or estimate.high is None:
                continue
            low, high = base + estimate.low, base + estimate.high
            segments.append([(x, low), (x, high)])
            self._drawn.append((low, high))
            if estimate.kind:
                self._kinds.add(estimate.kind)
        look: Any = {"colors": color, "linewidths": 1.1, "alpha": 0.6, "zorder": 3}
        self._axes.add_collection(LineCollection(segments, **look), autolim=False)

    def finish(self, of: str = "") -> None:
        """Make room for them, and name their kinds in the legend.

        Args:
            of: what the intervals are of.
        """
        if not self._drawn:
            return
        bottom, top = self._axes.get_ylim()
        logarithmic = self._axes.get_yscale() == "log"
        most = 0 if logarithmic else _STRETCH * (top - bottom)
        margin = 0 if logarithmic else _MARGIN * (top - bottom)
        low = min(low for low, _ in self._drawn) - margin
        high = max(high for _, high in self._drawn) + margin
        self._axes.set_ylim(max(min(bottom, low), bottom - most), min(max(top, high), top + most))
        kinds = "; ".join(sorted(self._kinds))
        label = f"95 % intervals{of and f' {of}'}\n({kinds})"
        self._axes.plot([], [], color="#555555", linewidth=1.1, label=label)


def legend(axes: Axes) -> None:
    """A legend where it hides least."""
    axes.legend(loc="best")
