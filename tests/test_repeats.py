"""Networks as repeats: pairs within a task and a seed, cuts of a task averaged first."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report.intervals import Repeat, Score
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.repeats import mean_difference, mean_level, repeats
from caffe_transfer.studies.network import Mode
from tests.test_decomposition import rows

A, B = Repeat("half0A", 1), Repeat("half0B", 1)


def test_networks_of_one_kind_by_task_seed_and_cut() -> None:
    table = rows(
        transfer0A0B_1_1=0.4,
        transfer0A0B_1_2=0.3,
        transfer0A0B_1_2__seed2=0.2,
        transfer0B0A_1_1=None,
        transfer0A0B_1_1__preserve1=0.9,
        transfer__ft0A0B_1_1=0.8,
        transfer0B0B_1_1=0.7,
    )
    assert repeats(table, Mode.TRANSFER) == {
        B: {1: Score(0.4), 2: Score(0.3)},
        Repeat("half0B", 2): {2: Score(0.2)},
    }
    assert repeats(table, Mode.TRANSFER, preserve=1) == {B: {1: Score(0.9)}}
    last = [replace(row, metric=Metric.LAST, top1_last=0.1) for row in table]
    assert repeats(last, Mode.TRANSFER, fine_tuned=True) == {B: {1: Score(0.1)}}


def test_only_cuts_that_both_have_are_compared() -> None:
    first = {A: {1: Score(0.5), 2: Score(0.9)}, B: {3: Score(0.9)}}
    second = {A: {1: Score(0.4), 3: Score(0.1)}, B: {2: Score(0.1)}}
    found = mean_difference(first, second, [1, 2, 3])
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.repeats == 1
    assert mean_difference(first, second, [2]) is None
    assert mean_level(first, [4]) is None


def test_a_base_stands_at_every_cut() -> None:
    base = {B: {0: Score(0.6, 100)}}
    found = mean_difference(base, {B: {1: Score(0.5, 50), 2: Score(0.3, 100)}}, [1, 2, 3])
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert found.images == 50


scores = st.dictionaries(
    st.builds(Repeat, st.sampled_from(["a", "b", "c"]), st.integers(1, 3)),
    st.dictionaries(
        st.integers(1, 4), st.builds(Score, st.floats(0, 1), st.integers(10, 1000)), min_size=1
    ),
    min_size=1,
)  # fmt: skip


@given(scores, scores, st.booleans())
def test_a_difference_the_other_way_round_is_its_opposite(
    first: dict[Repeat, dict[int, Score]], second: dict[Repeat, dict[int, Score]], chance: bool
) -> None:
    one = mean_difference(first, second, [1, 2, 3, 4], chance)
    other = mean_difference(second, first, [1, 2, 3, 4], chance)
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert one.value == pytest.approx(-other.value, abs=1e-12)
    assert one.low is not None
    assert other.high is not None
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.low <= one.value


@given(scores)
def test_nothing_differs_from_itself(found: dict[Repeat, dict[int, Score]]) -> None:
    difference = mean_difference(found, found, [1, 2, 3, 4])
    assert difference is not None
    assert difference.value == 0
    assert difference.is_positive is not True
