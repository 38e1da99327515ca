"""The decomposition: by hand, and that its parts add up."""

import csv
import io
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report import decomposition, intervals, tables
from caffe_transfer.report.contents import Decomposition
from caffe_transfer.report.intervals import Kind, Repeat, Score
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Network


def rows(**top1: float | None) -> list[Row]:
    """Rows of networks by name; a - in a name is written __."""
    return [
        Row(Network.parse(name.replace("__", "-")), 1, top1=value) for name, value in top1.items()
    ]


def test_effects_by_hand() -> None:
    level = decomposition.levels(
        rows(
            half0A=0.60,
            half0B=0.64,
            transfer0A0A_1_4=0.58,
            transfer0A0B_1_4=0.57,
            transfer0B0A_1_4=0.53,
            transfer__ft0A0B_1_4=0.66,
            transfer__ft0A0A_1_4=0.625,
            halfnatmanA=0.9,
            transfernatmanAB_1_4=0.1,
            transfer0A0B_1_4__preserve1=0.2,
            nolearn_1_4=0.3,
        )
    )
    (effect,) = decomposition.decompose(level)
    assert effect.label == "4"
    assert effect.base == pytest.approx(0.62)
    assert effect.co_adaptation == pytest.approx(0.04)
    assert effect.specificity == pytest.approx(0.03)
    assert effect.boost == pytest.approx(0.04)
    assert effect.boost_over_selffer == pytest.approx(0.035)


def test_base_is_that_of_the_tasks_trained_on() -> None:
    level = decomposition.levels(rows(half0A=0.9, half0B=0.6, transfer0A0B_1_1=0.5))
    assert (level.base_level, level.letter, level.other) == (0.6, "B", "A")
    level = decomposition.levels(rows(half0A=0.9, half0B=0.6, transfer0A0A_1_1=0.5))
    assert (level.base_level, level.letter, level.other) == (0.9, "A", "B")


PETS = {
    "half0B": 0.9,
    "halfpetsA": 0.8,
    "halfpetsB": 0.5,
    "transferpetsAB_1_2": 0.4,
    "transferpetsBB_1_2": 0.45,
    "transfer__ftpetsAB_1_2": 0.55,
    "transfer0A0B_1_2": 0.1,
    "transferbirdsAB_1_2": 0.2,
}


def test_a_custom_split_is_decomposed_by_itself() -> None:
    level = decomposition.levels(rows(**PETS), "pets")
    (effect,) = decomposition.decompose(level)
    assert (effect.base, effect.selffer, effect.transfer, effect.transfer_plus) == (
        0.5, 0.45, 0.4, 0.55,
    )  # fmt: skip
    assert decomposition.levels(rows(**PETS)).transfer == {2: [0.1]}


def test_no_base_level_where_the_base_of_a_task_was_given() -> None:
    """The base of pets A was given: that of B alone, the harder task, is no level for both."""
    table = PETS | {"transferpetsBA_1_2": 0.7}
    assert decomposition.levels(rows(**table), "pets").base_level == pytest.approx(0.65)
    del table["halfpetsA"]
    (effect,) = decomposition.decompose(decomposition.levels(rows(**table), "pets"))
    assert (effect.base, effect.co_adaptation) == (None, None)
    assert effect.specificity == pytest.approx(0.45 - 0.55)


def test_table_1_is_over_networks_not_over_layers() -> None:
    """The paper's 1.6, 1.8 and 2.1 come out so, with one or two networks for each n."""
    level = decomposition.levels(
        rows(
            half0A=0.5,
            half0B=0.5,
            transfer__ft0A0B_1_1=0.5,
            transfer__ft0A0B_1_3=0.6,
            transfer__ft0B0A_1_3=0.7,
            transfer__ft0B0A_1_7=0.8,
        )
    )
    boosts = {effect.label: effect.boost for effect in decomposition.averages(level)}
    assert boosts == pytest.approx({"1-7": 0.15, "3-7": 0.2, "5-7": 0.3})


@pytest.mark.parametrize(
    ("cuts", "ranges"),
    [
        ([1], []),
        ([1, 2], ["1-2"]),
        ([1, 3], ["1-3"]),
        ([2, 5], ["1-5", "3-5"]),
        ([16], ["1-16", "3-16", "5-16"]),
    ],
)
def test_ranges_end_at_the_highest_cut(cuts: list[int], ranges: list[str]) -> None:
    level = decomposition.levels(rows(**{f"transfer0A0B_1_{n}": 0.5 for n in cuts}))
    assert [effect.label for effect in decomposition.averages(level)] == ranges


def test_missing_values_stay_missing() -> None:
    level = decomposition.levels(rows(half0B=None, transfer0A0B_1_2=0.5, transfer0A0A_1_3=None))
    (effect,) = decomposition.decompose(level)
    assert (effect.base, effect.co_adaptation, effect.specificity) == (None, None, None)
    assert tables.effect_cells(effect) == ["2", "", "", "", "", "50.00", "", "", "", "", ""]
    of_group = Decomposition("pets", (effect,), (), None, {2: "conv2"})
    text = tables.decomposition_csv([of_group])
    (record,) = csv.DictReader(io.StringIO(text))
    assert list(record)[8:12] == ["boost", "boost over selffer+", "group", "cut"]
    assert {name: cell for name, cell in record.items() if cell} == {
        "n": "2", "transfer": "0.5", "transfer repeats": "1", "group": "pets", "cut": "conv2",
    }  # fmt: skip


def test_nothing_to_decompose() -> None:
    level = decomposition.levels(rows(netbase=0.5, half0A=0.5))
    assert not level
    assert decomposition.decompose(level) == decomposition.averages(level) == []


accuracy = st.floats(0, 1)


@given(accuracy, accuracy, accuracy, st.integers(1, 7))
def test_the_parts_add_up_to_the_drop(base: float, selffer: float, transfer: float, n: int) -> None:
    names = {"half0B": base, f"transfer0B0B_1_{n}": selffer, f"transfer0A0B_1_{n}": transfer}
    (effect,) = decomposition.decompose(decomposition.levels(rows(**names)))
    assert effect.co_adaptation is not None
    assert effect.specificity is not None
    whole = effect.co_adaptation + effect.specificity
    assert math.isclose(whole, base - transfer, abs_tol=1e-12)


def test_dissimilar_tasks_are_relative_to_their_own_bases() -> None:
    table = rows(
        halfnatmanA=0.65,
        halfnatmanB=0.53,
        transfernatmanAB_1_1=0.52,
        transfernatmanBA_1_1=0.62,
        transfernatmanBA_1_2=0.60,
        half0A=0.1,
        transfer0B0A_1_1=0.9,
    )
    assert decomposition.by_task(table) == {
        "halfnatmanA": (0.65, {1: [0.62], 2: [0.60]}),
        "halfnatmanB": (0.53, {1: [0.52]}),
    }
    assert decomposition.mean_of_tasks(table) == pytest.approx({1: -0.02, 2: -0.05})


def test_fewer_images() -> None:
    table = rows(reduced__0010=0.2, reduced__0010__seed2=0.4, reduced__1300=0.5)
    found = {images: each.value for images, each in decomposition.by_images(table).items()}
    assert found == pytest.approx({10: 0.3, 1300: 0.5})


def with_images(count: int, **top1: float) -> list[Row]:
    return [replace(row, valid_images=count) for row in rows(**top1)]


def test_intervals_of_differences_are_by_pairs() -> None:
    """Of half 0A there is no selffer: its easier base is in the level, not in the pairs."""
    table = with_images(
        10000,
        half0A=0.9,
        half0B=0.6,
        transfer0B0B_1_2=0.5,
        transfer0A0B_1_2=0.4,
        transfer0B0A_1_2=0.8,
    )
    (effect,) = decomposition.decompose(decomposition.levels(table))
    assert effect.co_adaptation == pytest.approx(0.25)
    pairs = effect.estimates["co_adaptation"]
    assert pairs.value == pytest.approx(0.1)
    expected = intervals.difference({Repeat("half0B", 1): (Score(0.6, 10000), Score(0.5, 10000))})
    assert (pairs.low, pairs.high) == (expected.low, expected.high)
    assert (pairs.kind, pairs.repeats) == (Kind.BINOMIAL, 1)
    level = effect.estimates["transfer"]
    assert (level.kind, level.repeats) == (Kind.TASKS, 2)
    assert "boost" not in effect.estimates
    cells = effect.intervals()
    assert cells["lost co-adaptation by pairs"] == pairs.value
    assert cells["lost co-adaptation low"] == pairs.low
    assert cells["boost low"] is None
    assert list(cells) == decomposition.interval_columns()


def test_over_a_range_each_task_is_averaged_first() -> None:
    """Two cuts of one task do not pass for two repeats; four tasks do for four."""
    one = with_images(1000, half0B=0.5, transfer0A0B_1_1=0.45, transfer0A0B_1_3=0.35)
    level = decomposition.levels(one)
    loss = level.difference("base", "transfer", [1, 2, 3])
    assert loss is not None
    assert loss.value == pytest.approx(0.1)
    assert (loss.repeats, loss.kind) == (1, Kind.BINOMIAL)
    expected = intervals.difference({Repeat("x", 1): (Score(0.5, 1000), Score(0.4, 1000))})
    assert (loss.low, loss.high) == pytest.approx((expected.low, expected.high))
    two = one + with_images(1000, half1B=0.5, transfer1A1B_1_1=0.45)
    of_two = decomposition.levels(two).difference("base", "transfer", [1, 2, 3])
    assert of_two is not None
    assert of_two.value == pytest.approx(0.075)
    assert (of_two.repeats, of_two.kind) == (2, Kind.TASKS)


def test_the_two_tasks_of_a_named_split_are_no_repeats() -> None:
    table = with_images(
        1000, halfpetsA=0.9, halfpetsB=0.5, transferpetsAB_1_1=0.4, transferpetsBA_1_1=0.85
    )
    loss = decomposition.levels(table, "pets").difference("base", "transfer", [1])
    assert loss is not None
    one, other = (
        intervals.difference({Repeat("x", 1): (Score(a, 1000), Score(b, 1000))})
        for a, b in ((0.9, 0.85), (0.5, 0.4))
    )
    assert loss.low is not None
    assert one.low is not None
    assert other.low is not None
    below = math.hypot(one.value - one.low, other.value - other.low) / 2
    assert loss.value == pytest.approx(0.075)
    assert loss.kind is Kind.BINOMIAL
    assert loss.low == pytest.approx(0.075 - below)


@given(st.lists(st.tuples(accuracy, accuracy, accuracy), min_size=2, max_size=5))
def test_paired_parts_add_up_where_no_network_is_missing(
    tasks: list[tuple[float, float, float]],
) -> None:
    table: dict[str, float | None] = {}
    for split, (base, selffer, transfer) in enumerate(tasks):
        table |= {
            f"half{split}B": base,
            f"transfer{split}B{split}B_1_2": selffer,
            f"transfer{split}A{split}B_1_2": transfer,
        }
    (effect,) = decomposition.decompose(decomposition.levels(rows(**table)))
    for name in ("co_adaptation", "specificity"):
        assert effect.estimates[name].value == pytest.approx(getattr(effect, name), abs=1e-12)
