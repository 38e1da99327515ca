"""The decomposition: by hand, and that its parts add up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report import decomposition, tables
from caffe_transfer.report.contents import Decomposition
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
    assert text.splitlines()[0].endswith(",boost,boost over selffer+,group,cut")
    assert text.splitlines()[1] == "2,,,,0.5,,,,,,pets,conv2"


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
    assert decomposition.by_images(table) == pytest.approx({10: 0.3, 1300: 0.5})
