"""Figures: what is drawn of which networks, with which labels, and files that stay the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from caffe_transfer.report import decomposition, figures, style, supplement
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.results import Row
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Mode, Network

Corners: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]  # (4, 2), in pixels
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


PETS = (
    "halfpetsB", "transferpetsBB_1_2", "transfer-ftpetsBB_1_2", "transferpetsAB_1_2",
    "transfer-ftpetsAB_1_2",
)  # fmt: skip


def test_a_custom_split_has_figure_2_as_random_halves_have_it() -> None:
    """It once had its frozen transfers alone, in Figure 3."""
    rows = some(*PETS)
    assert list(figures.draw_all(rows)) == ["figure2"]
    figure = figures.figure2(rows)
    assert figure is not None
    upper, lower = figure.axes
    assert upper.get_title() == "Split pets"
    assert labels(upper) == [
        "baseB", "selffer BnB", "selffer BnB$^+$", "transfer AnB", "transfer AnB$^+$",
    ]  # fmt: skip
    assert points(lower, "mean transfer AnB") == [(0, 0.5), (2, 0.53)]


def test_each_group_of_splits_has_its_own_figure_2() -> None:
    halves = some("half0B", "transfer0A0B_1_3")
    birds = some("halfbirdsA", "transferbirdsBA_1_1")
    natman = some("halfnatmanA", "transfernatmanBA_1_1")
    drawn = figures.draw_all([*natman, *some(*PETS), *halves, *birds])
    assert list(drawn) == ["figure2", "figure2-birds", "figure2-pets", "figure3"]
    assert [drawn[name].axes[0].get_title() for name in drawn] == [
        "", "Split birds", "Split pets", "Splits birds, natman, pets",
    ]  # fmt: skip
    assert labels(drawn["figure2-birds"].axes[0]) == ["baseA", "transfer BnA"]
    assert labels(drawn["figure3"].axes[1]) == [
        "mean AnB, random splits", "mean BnA, split birds", "mean BnA, m/n split",
        "mean AnB, split pets", "reference",
    ]  # fmt: skip
    of_splits = [line.get_color() for line in drawn["figure3"].axes[1].lines[1:4]]
    assert len(set(of_splits)) == 3
    assert points(drawn["figure3"].axes[1], "mean AnB, split pets")[1] == pytest.approx((2, 0.03))


def test_natman_has_figure_2_only_beyond_what_the_paper_trained() -> None:
    names = ("halfnatmanB", "transfernatmanAB_1_1")
    assert list(figures.draw_all(some(*names))) == ["figure3"]
    drawn = figures.draw_all(some(*names, "transfernatmanBB_1_1"))
    assert list(drawn) == ["figure2", "figure3"]
    assert drawn["figure2"].axes[0].get_title() == "Man-made/natural split"


def test_without_the_base_of_its_task_a_custom_split_is_still_drawn() -> None:
    rows = some("transferpetsBB_1_2", "transferpetsAB_1_2", "transferpetsAB_1_3")
    figure = figures.figure2(rows)
    assert figure is not None
    assert points(figure.axes[1], "mean transfer AnB") == [(2, 0.51), (3, 0.52)]
    assert figures.figure3(rows) is not None


def named(names: dict[int, str], *networks: str) -> list[Row]:
    return [
        Row(row.network, 1, top1=row.top1, cut=names.get(row.network.n)) for row in some(*networks)
    ]


@pytest.mark.parametrize("letters", [4, 19])
@pytest.mark.parametrize("last", [1, 7, 16, 20, 54, 160])
def test_names_of_cuts_stand_under_their_numbers_and_do_not_collide(
    last: int, letters: int
) -> None:
    names = {n: f"{n:03d}".rjust(letters, "m") for n in range(1, last + 1)}
    networks = ["netbase", "half0B"]
    for n in range(1, last + 1):
        networks += [f"transfer0A0B_1_{n}", f"nolearn_1_{n}"]
    networks.append(f"transfer0A0B_1_{last}-preserve1")
    drawn = figures.draw_all(named(names, *networks))
    assert list(drawn) == ["figure2", "figure3", "preserved"]
    for figure in drawn.values():
        figure.draw_without_rendering()
        axes = figure.axes[-1]
        ticks = axes.xaxis.get_minor_ticks()
        shown = [tick for tick in ticks if tick.label1.get_text()]
        assert {tick.label1.get_text() for tick in shown} <= set(names.values())
        assert len(shown) == last or last > 100
        assert len(shown) >= min(last, 50)
        for tick in shown:
            assert tick.label1.get_text() == names[int(tick.get_loc())]
        corners = [_corners(tick.label1) for tick in shown]
        for left, right in pairwise(corners):
            assert _apart(left, right)
        for label in axes.get_xticklabels():
            below = max(tick.label1.get_window_extent().y1 for tick in shown)
            assert label.get_window_extent().y0 > below


def _corners(label: Text) -> Corners:
    """The corners of a turned label, clockwise from the lower left one."""
    angle = np.deg2rad(label.get_rotation())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = Text(*label.get_position(), label.get_text(), fontproperties=label.get_fontproperties())
    figure = label.get_figure(root=True)
    assert figure is not None
    flat.set_figure(figure)
    size = flat.get_window_extent()
    box = np.array([(0, 0), (0, size.height), (size.width, size.height), (size.width, 0)])
    turned = box @ turn.T
    extent = label.get_window_extent()
    corners: Corners = turned - turned.min(axis=0) + (extent.x0, extent.y0)
    return corners


def _apart(one: Corners, other: Corners) -> bool:
    """Whether a line along a side of one of two boxes has the other on its far side."""
    for box in (one, other):
        for start, end in zip(box, np.roll(box, -1, axis=0), strict=True):
            normal = np.array([end[1] - start[1], start[0] - end[0]])
            a, b = one @ normal, other @ normal
            if a.max() <= b.min() or b.max() <= a.min():
                return True
    return False


def test_networks_that_disagree_on_a_name_leave_the_number_alone() -> None:
    rows = named({1: "pool1", 2: "pool2"}, "half0B", "transfer0A0B_1_1", "transfer0A0B_1_2")
    rows += named({2: "conv2"}, "transfer1A1B_1_2")
    figure = figures.figure2(rows)
    assert figure is not None
    figure.draw_without_rendering()
    shown = [tick.label1.get_text() for tick in figure.axes[-1].xaxis.get_minor_ticks()]
    assert shown == ["pool1"]
    unnamed = figures.figure2(some("half0B", "transfer0A0B_1_1"))
    assert unnamed is not None
    assert unnamed.axes[-1].xaxis.get_minor_ticks() == []


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
    figure = figures.figure3(PAPER, bare=True)
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


def with_images(table: Sequence[Row], count: int = 10000) -> list[Row]:
    return [replace(row, valid_images=count) for row in table]


def drawn_bars(axes: Axes) -> list[tuple[float, float, float]]:
    """x, low and high of every interval drawn."""
    return [
        (float(line[0, 0]), float(line[0, 1]), float(line[1, 1]))
        for lines in axes.collections
        if isinstance(lines, LineCollection)
        for line in map(np.asarray, lines.get_segments())
    ]


def test_intervals_of_figure_2_and_the_paper_s_bare_form() -> None:
    table = with_images(some("half0B", "transfer0B0B_1_2", "transfer0A0B_1_2"))
    figure = figures.figure2(table)
    assert figure is not None
    upper, lower = figure.axes
    networks = sorted(drawn_bars(upper))
    assert [x for x, _, _ in networks] == pytest.approx([0, 1.78, 2.08])
    rows = {row.network.n: row for row in table}
    assert networks[0][1:] == pytest.approx((rows[0].top1_low, rows[0].top1_high))
    selffer = min(drawn_bars(lower))
    level = decomposition.levels(table)
    loss = level.difference("base", "selffer", [2])
    assert loss is not None
    assert loss.low is not None
    assert loss.high is not None
    base = rows[0].top1
    assert base is not None
    assert selffer[1:] == pytest.approx((base - loss.high, base - loss.low))
    assert labels(upper)[-1] == "95 % intervals of each network\n(binomial)"
    assert (
        labels(lower)[-1] == "95 % intervals of the difference from the base, by pairs\n(binomial)"
    )
    bare = figures.figure2(table, bare=True)
    assert bare is not None
    assert [drawn_bars(axes) for axes in bare.axes] == [[], []]
    assert not [label for axes in bare.axes for label in labels(axes) if "95" in label]


def test_long_intervals_leave_the_points_their_room() -> None:
    """Two repeats that differ give an interval of the mean of twelve times their distance."""
    names = ("half0B", "transfer0A0B_1_2", "half1B", "half2B", "half3B", "transfer1A1B_1_2")
    figure = figures.figure2(some(*names))
    assert figure is not None
    low, high = figure.axes[1].get_ylim()
    assert high - low < 0.1
    ((_, below, above),) = drawn_bars(figure.axes[1])
    assert below < low
    assert above > high


def test_intervals_of_figure_3_and_of_the_supplement() -> None:
    names = ("netbase", "nolearn_1_1", "halfnatmanB", "transfernatmanAB_1_1", "reduced-0010")
    table = with_images(some(*names, "transfer0A0B_1_1-preserve1", "half0B"))
    figure = figures.figure3(table)
    assert figure is not None
    assert [[x for x, _, _ in drawn_bars(axes)] for axes in figure.axes] == [[0, 1], [0, 1], [1, 1]]
    for draw in (supplement.reduced, supplement.preserved):
        figure = draw(table)
        assert figure is not None
        assert len(drawn_bars(figure.axes[0])) == 1
        assert "95 % intervals" in labels(figure.axes[0])[-1]
        bare = draw(table, bare=True)
        assert bare is not None
        assert drawn_bars(bare.axes[0]) == []


def test_axes_of_another_metric_say_so() -> None:
    table = [replace(row, metric=Metric.LAST, top1_last=0.4) for row in PAPER]
    for name, figure in figures.draw_all(table).items():
        assert any("last test" in axes.get_ylabel() for axes in figure.axes), name
    for figure in figures.draw_all(PAPER).values():
        assert not any("test" in axes.get_ylabel() for axes in figure.axes)
