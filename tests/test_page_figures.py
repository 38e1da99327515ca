"""The page's charts say what the static figures and the tables say."""

import pytest

from caffe_transfer.report import decomposition, verdict_text
from caffe_transfer.report.groups import RANDOM_HALVES
from caffe_transfer.report.page.figure2 import figure2
from caffe_transfer.report.page.figure3 import figure3
from caffe_transfer.report.page.points import Panel, Series
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Network

KINDS = {
    "selffer BnB": "selffer", "transfer AnB": "transfer", "transfer AnB⁺": "transfer_plus",
}  # fmt: skip


def rows(*, images: int | None = 1000, shift: float = 0.0) -> list[Row]:
    """A study with all kinds of networks, of two random splits and a named one."""
    values = {"half0B": 0.6, "half1B": 0.62, "netbase": 0.5, "halfpetsB": 0.7, "nolearn_1_1": 0.2}
    for n in (1, 2):
        for split in "01":
            values |= {
                f"transfer0B0B_1_{n}".replace("0B", f"{split}B"): 0.6 - 0.01 * n,
                f"transfer{split}A{split}B_1_{n}": 0.58 - 0.03 * n,
                f"transfer-ft{split}A{split}B_1_{n}": 0.62 + 0.01 * n,
            }
        values[f"transferpetsAB_1_{n}"] = 0.65 - 0.1 * n
    return [
        Row(Network.parse(name), 10, top1=value + shift, cut=f"conv{name[-1]}", valid_images=images)
        for name, value in values.items()
    ]


def by_label(panel: Panel, published: bool = False) -> dict[str, Series]:
    return {each.label: each for each in panel.series if each.published is published}


def test_figure2_has_every_network_and_the_means_of_the_tables() -> None:
    data = rows()
    every, means = figure2(data, (), RANDOM_HALVES)
    names = {name for each in every.series for point in each.points for name in point.networks}
    assert names == {row.network.name for row in data if row.network.split in ("0", "1")}
    found = by_label(means)
    level = decomposition.levels(data)
    for effect in decomposition.decompose(level):
        for label, kind in KINDS.items():
            (point,) = (point for point in found[label].points if point.n == effect.first)
            assert point.y == pytest.approx(getattr(effect, kind))
            assert len(point.networks) == 2
            # As in the static figure: of the difference from the base, about the base's line.
            paired = level.difference(kind, "base", [effect.first])
            assert paired is not None
            assert paired.low is not None
            assert level.base_level is not None
            assert point.low == pytest.approx(level.base_level + paired.low)
            assert point.text == (
                f"{100 * point.y:.2f} %; from the base, by pairs: "
                f"{verdict_text.number(paired)} points, Student's, over 2 tasks"
            )
    assert means.level == level.base_level
    assert found["transfer AnB"].line[0] == pytest.approx((0, 0.61))
    assert means.cuts == {1: "conv1", 2: "conv2"}
    assert [area.look for area in means.areas] == ["boost", "co-adaptation", "specificity"]
    assert means.areas[0].label == "boost over the base (no control BnB⁺)"


def test_published_results_lie_underneath_and_are_told_apart() -> None:
    (every, _) = figure2(rows(), rows(shift=0.1), RANDOM_HALVES)
    assert every.series[0].published
    assert not every.series[-1].published
    (own,) = (
        p for p in by_label(every)["transfer AnB"].points if p.networks == ("transfer0A0B_1_1",)
    )
    (theirs,) = (
        p
        for p in by_label(every, published=True)["transfer AnB"].points
        if p.networks == ("transfer0A0B_1_1",)
    )
    assert theirs.y == pytest.approx(own.y + 0.1)


def test_without_the_number_of_images_there_is_no_interval() -> None:
    (every, _) = figure2(rows(images=None), (), RANDOM_HALVES)
    assert {point.low for each in every.series for point in each.points} == {None}


def test_figure3_tasks_random_filters_and_differences() -> None:
    tasks, filters, relative = figure3(rows(), ())
    assert tasks.title == "Split pets"
    assert [point.y for point in by_label(tasks)["to halfpetsB"].points] == pytest.approx(
        [0.55, 0.45]
    )
    assert [p.networks for p in by_label(filters)["random filters"].points] == [("nolearn_1_1",)]
    found = by_label(relative)
    assert [p.y for p in found["random filters"].points] == pytest.approx([-0.3])
    assert [p.y for p in found["mean AnB, split pets"].points] == pytest.approx([-0.15, -0.25])
    (point,) = found["random filters"].points
    assert point.low is not None
    assert point.low < -0.3
    assert point.text.startswith("-30.00 points; from the base, by pairs: -30.00 [")
    assert relative.level == 0
    # As in the paper: random filters do not flatten the others.
    assert relative.bottom == pytest.approx(1.2 * -0.25)


def test_two_chosen_tasks_are_no_sample_of_tasks() -> None:
    """The interval of their mean is made of those of each, not of their distance."""
    names = {
        "halfpetsA": 0.5, "halfpetsB": 0.6, "transferpetsAB_1_1": 0.4, "transferpetsBA_1_1": 0.3,
    }  # fmt: skip
    data = [Row(Network.parse(name), 1, top1=y, valid_images=99) for name, y in names.items()]
    every, means = figure2(data, (), "pets")
    assert all(point.low is not None for each in every.series for point in each.points)
    texts = [point.text for each in means.series for point in each.points]
    assert len(texts) == 2
    assert all("binomial, from 99 validation images" in text for text in texts), texts
