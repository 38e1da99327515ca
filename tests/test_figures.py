"""Figures: what is drawn of which networks, with which labels, and files that stay the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caffe_transfer.report import figures, style, supplement
from caffe_transfer.report.results import Row
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Mode, Network

PAPER = [
    Row(network, 1, top1=0.6 - 0.01 * network.n + 0.0001 * index % 0.01)
    for index, network in enumerate(paper().networks)
]


def some(*names: str) -> list[Row]:
    return [Row(Network.parse(name), 1, top1=0.5 + 0.01 * i) for i, name in enumerate(names)]


def labels(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def points(axes: Axes, label: str) -> list[tuple[float, float]]:
    (line,) = (line for line in axes.lines if line.get_label() == label)
    return [(float(x), float(y)) for x, y in line.get_xydata().tolist()]  # type: ignore[union-attr]


def test_the_papers_networks_give_the_papers_figures() -> None:
    assert list(figures.draw_all(PAPER)) == ["figure2", "figure3", "reduced"]


def test_figure_2_shows_every_network_and_the_means() -> None:
    figure = figures.figure2(PAPER)
    assert figure is not None
    upper, lower = figure.axes
    assert labels(upper) == [
        "baseB", "selffer BnB", "selffer BnB$^+$", "transfer AnB", "transfer AnB$^+$",
    ]  # fmt: skip
    assert len(points(upper, "baseB")) == 8
    assert len(points(upper, "selffer BnB")) == 28
    assert len(points(upper, "transfer AnB")) == 56
    assert [x for x, _ in points(lower, "mean transfer AnB")] == list(range(8))
    at_4 = [row.top1 for row in PAPER if _is(row, Mode.TRANSFER, 4) and row.top1 is not None]
    assert len(at_4) == 8
    assert points(lower, "mean transfer AnB")[4][1] == pytest.approx(sum(at_4) / 8)


def _is(row: Row, mode: Mode, n: int) -> bool:
    network = row.network
    return (network.mode, network.n, network.fine_tuned, network.split != "natman") == (
        mode, n, False, True,
    )  # fmt: skip


def test_axes_end_at_the_highest_n_drawn() -> None:
    low = some("half0B", "transfer0A0B_1_2", "nolearn_1_3")
    deep = some("half0B", "transfer0A0B_1_16", "nolearn_1_12")
    for draw, rows, published, last in (
        (figures.figure2, low, (), 2),
        (figures.figure2, deep, low, 16),
        (figures.figure2, low, deep, 16),
        (figures.figure2, PAPER, (), 7),
        (figures.figure3, low, (), 3),
        (figures.figure3, low, deep, 16),
        (figures.figure3, PAPER, (), 7),
    ):
        figure = draw(rows, published)
        assert figure is not None
        for axes in figure.axes:
            left, right = axes.get_xlim()
            assert last < right < last + 1
            shown = [tick for tick in axes.get_xticks() if left <= tick <= right]
            assert shown == list(range(last + 1))


def test_the_boost_names_its_control() -> None:
    names = ("half0B", "transfer-ft0A0B_1_2", "transfer-ft0A0B_1_3")
    for more, label in (
        ((), "boost over the base (no control BnB$^+$)"),
        (("transfer-ft0B0B_1_2",), "boost over the base (control: BnB$^+$)"),
    ):
        figure = figures.figure2(some(*names, *more))
        assert figure is not None
        assert label in labels(figure.axes[1])


def test_a_drop_that_is_not_there_is_not_in_the_legend() -> None:
    """Here the selffers are above their base, as in the demo."""
    rows = some("transfer0A0B_1_1", "half0B", "transfer0B0B_1_1")
    figure = figures.figure2(rows)
    assert figure is not None
    drops = [label for label in labels(figure.axes[1]) if label.startswith("drop")]
    assert drops == ["drop: representation specificity"]


@pytest.mark.parametrize(
    "draw", [figures.figure2, figures.figure3, supplement.reduced, supplement.preserved]
)
def test_every_figure_has_the_style_whatever_the_users_settings(
    draw: Callable[..., Figure],
) -> None:
    rows = [*PAPER, *some("transfer0A0B_1_2-preserve1")]
    own: Any = {"font.size": 30, "axes.labelsize": 40, "xtick.direction": "out", "xtick.top": False}
    with mpl.rc_context(own):
        figure = draw(rows)
        assert mpl.rcParams["font.size"] == 30
        for axes in figure.axes:
            assert axes.yaxis.label.get_fontsize() == 10
            for tick in axes.xaxis.get_major_ticks():
                assert (tick.get_tickdir(), tick.label1.get_fontsize()) == ("in", 10)
                assert tick.tick2line.get_visible()


def test_a_custom_split_has_its_own_name_in_figure_3() -> None:
    figure = figures.figure3(some("halfpetsB", "transferpetsAB_1_1", "transferpetsAB_1_2"))
    assert figure is not None
    assert figure.axes[0].get_title() == "Split pets"
    assert labels(figure.axes[1]) == ["mean AnB, split pets", "reference"]


def test_labels_follow_a_study_of_one_direction() -> None:
    figure = figures.figure2(some("half0A", "transfer0A0A_1_3", "transfer0B0A_1_3"))
    assert figure is not None
    assert labels(figure.axes[0]) == ["baseA", "selffer AnA", "transfer BnA"]


def test_partly_missing_points_are_left_out() -> None:
    table = [
        *some("half0B", "transfer0A0B_1_2", "transfer0A0B_1_5"),
        Row(Network.parse("transfer0A0B_1_3"), 0),
    ]
    figure = figures.figure2(table)
    assert figure is not None
    assert [x for x, _ in points(figure.axes[1], "mean transfer AnB")] == [0, 2, 5]


def test_axes_hold_all_points() -> None:
    figure = figures.figure2(some("half0B", "transfer0A0B_1_2"), PAPER)
    assert figure is not None
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for line in axes.lines:
            heights = np.asarray(line.get_ydata(), np.float64)
            assert ((low <= heights) & (heights <= high)).all()


def test_figure_3_of_the_paper() -> None:
    figure = figures.figure3(PAPER)
    assert figure is not None
    dissimilar, random, relative = figure.axes
    assert [len(line.get_xydata()) for line in dissimilar.lines] == [8, 1, 8, 1]  # type: ignore[arg-type]
    assert [len(line.get_xydata()) for line in random.lines] == [8, 1]  # type: ignore[arg-type]
    assert labels(relative) == [
        "mean AnB, random splits", "mean AnB, m/n split", "random features", "reference",
    ]  # fmt: skip
    assert points(relative, "mean AnB, m/n split")[0] == (0, 0)


def test_figure_3_without_natman_has_two_panels() -> None:
    figure = figures.figure3(some("netbase", "nolearn_1_1", "nolearn_1_2"))
    assert figure is not None
    assert len(figure.axes) == 2
    assert points(figure.axes[1], "random features") == [
        (0, 0), (1, pytest.approx(0.01)), (2, pytest.approx(0.02)),
    ]  # fmt: skip


def test_figure_3_without_bases_is_not_relative() -> None:
    figure = figures.figure3(some("nolearn_1_1", "transfernatmanAB_1_1"))
    assert figure is not None
    assert len(figure.axes[-1].lines) == 0


def test_reduced_images() -> None:
    figure = supplement.reduced(some("reduced-0001", "reduced-0010"), some("reduced-0005"))
    assert figure is not None
    linear, logarithmic = figure.axes
    assert points(linear, "this study") == [(1, 0.5), (10, pytest.approx(0.51))]
    assert points(logarithmic, "published") == [(5, 0.5)]
    assert logarithmic.get_xscale() == "log"


def test_preserved_layers_beside_the_same_splits_without() -> None:
    names = ("transfer0A0B_1_2-preserve1", "transfer0A0B_1_2", "transfer1A1B_1_2")
    figure = supplement.preserved(some(*names))
    assert figure is not None
    (axes,) = figure.axes
    assert labels(axes) == ["AnB", "AnB, preserve 1"]
    assert points(axes, "AnB") == pytest.approx(np.array([(2, 0.51)]))


@pytest.mark.parametrize(
    ("draw", "own_color"),
    [
        (figures.figure2, style.RED),
        (figures.figure3, style.ORANGE),
        (supplement.reduced, style.BLUE),
    ],
)
def test_published_results_are_gray_and_underneath(
    draw: Callable[..., Figure], own_color: str
) -> None:
    alone, both = draw(PAPER), draw(PAPER, PAPER)
    assert len(alone.axes) == len(both.axes) > 0
    panels = 0
    for before, axes in zip(alone.axes, both.axes, strict=True):
        assert len(axes.lines) > len(before.lines)
        # matplotlib draws by zorder, and lines of the same one in the order in which they came.
        drawn = [line.get_color() for line in sorted(axes.lines, key=lambda x: x.get_zorder())]
        gray = [i for i, color in enumerate(drawn) if color in (style.GRAY, style.LIGHT_GRAY)]
        own = [i for i, color in enumerate(drawn) if color == own_color]
        assert gray
        panels += bool(own)
        assert not own or max(gray) < min(own)
    assert panels > 0


@pytest.mark.parametrize(
    "names", [(), ("netbase",), ("half0A", "half0B"), ("halfnatmanA", "halfnatmanB")]
)
def test_no_networks_no_figures(names: tuple[str, ...]) -> None:
    assert figures.draw_all(some(*names), PAPER) == {}


def test_no_scores_no_figures() -> None:
    table = [Row(row.network, 0) for row in PAPER]
    assert figures.draw_all(table) == {}


@pytest.mark.parametrize("suffix", style.SUFFIXES)
def test_files_are_the_same_every_time(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = some("half0B", "transfer0A0B_1_2", "transfer0B0B_1_2")
    for day in (1, 2):
        # The time that matplotlib takes for now.
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(day * 24 * 60 * 60))
        style.save(figures.draw_all(table)["figure2"], tmp_path / f"{day}.{suffix}")
    one, two = (tmp_path / f"{day}.{suffix}" for day in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert len(one.read_bytes()) > 5000
