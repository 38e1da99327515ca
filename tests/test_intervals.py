"""Intervals: published examples of each kind, and when which of them counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report.intervals import (
    Estimate,
    Kind,
    Repeat,
    Score,
    accuracy,
    difference,
)

ONE = Repeat("half0B", 1)


def paired(
    *values: float, images: int | None = None, tasks: bool = False
) -> dict[Repeat, tuple[Score, Score]]:
    """Repeats with these differences, over seeds of one task or over tasks."""
    return {
        Repeat(f"half{i}B" if tasks else "half0B", 1 if tasks else i): (
            Score(0.5 + value, images),
            Score(0.5, images),
        )
        for i, value in enumerate(values, 1)
    }


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [  # Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_as_published(right: int, images: int, low: float, high: float) -> None:
    found = accuracy({ONE: Score(right / images, images)})
    assert (found.kind, found.images, found.repeats) == (Kind.BINOMIAL, images, 1)
    assert found.value == right / images
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_newcombes_interval_as_published(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    pair = tuple(Score(right / images, images) for right, images in (first, second))
    found = difference({ONE: (pair[0], pair[1])})
    assert (found.kind, found.images) == (Kind.BINOMIAL, min(first[1], second[1]))
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


# Student's own example (Biometrika 6, 1908): hours of sleep gained by one drug over another.
SLEEP = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)


@pytest.mark.parametrize("tasks", [False, True])
def test_students_interval_as_published(tasks: bool) -> None:
    """As R's t.test(extra ~ group, data = sleep, paired = TRUE) has it."""
    found = difference(paired(*SLEEP, tasks=tasks))
    assert found.value == pytest.approx(1.58)
    assert found.low == pytest.approx(0.7001142)
    assert found.high == pytest.approx(2.4598858)
    assert (found.kind, found.repeats) == (Kind.TASKS if tasks else Kind.SEEDS, 10)


def test_of_seeds_the_wider_interval_counts() -> None:
    """Three seeds that agree by chance do not make 100 validation images more."""
    alike, apart = (0.010, 0.011, 0.012), (-0.2, 0.0, 0.3)
    assert difference(paired(*alike, images=100)).kind is Kind.BINOMIAL
    assert difference(paired(*alike)).kind is Kind.SEEDS
    assert difference(paired(*apart, images=100)).kind is Kind.SEEDS
    assert difference(paired(*alike, images=100, tasks=True)).kind is Kind.TASKS


def test_seeds_of_one_task_are_averaged_before_tasks() -> None:
    """Ten seeds of one split are no ten splits."""
    pairs = paired(*[0.1] * 9, 0.2) | {Repeat("half1B", 1): (Score(0.52), Score(0.5))}
    found = difference(pairs)
    assert (found.repeats, found.kind) == (2, Kind.TASKS)
    assert found.value == pytest.approx((0.11 + 0.02) / 2)


def test_nothing_to_go_by_no_interval() -> None:
    found = difference(paired(0.1))
    assert found == Estimate(found.value)
    assert found.value == pytest.approx(0.1)
    half_known = {ONE: (Score(0.5, 1000), Score(0.4))}
    assert difference(half_known).is_positive is None
    assert accuracy({ONE: Score(0.5)}).low is None


def test_what_is_shown() -> None:
    assert (Estimate(2, 1, 3).is_positive, Estimate(2, 1, 3).is_negative) == (True, False)
    assert (Estimate(1, 0, 2).is_positive, Estimate(1, 0, 2).is_negative) == (False, False)
    assert (Estimate(-2, -3, -1).is_positive, Estimate(-2, -3, -1).is_negative) == (False, True)


share = st.floats(0, 1)


@given(share, share, st.integers(1, 5000), st.integers(1, 5000))
def test_an_interval_holds_its_value_and_turns_around(a: float, b: float, m: int, n: int) -> None:
    there, back = (
        difference({ONE: pair}) for pair in ((Score(a, m), Score(b, n)), (Score(b, n), Score(a, m)))
    )
    assert there.low is not None
    assert there.high is not None
    assert there.low <= there.value <= there.high
    assert back.low is not None
    assert back.high is not None
    assert there.low == pytest.approx(-back.high, abs=1e-9)
    assert there.high == pytest.approx(-back.low, abs=1e-9)


@given(st.integers(0, 50), st.integers(0, 50))
def test_more_images_a_narrower_interval(a: int, b: int) -> None:
    widths = []
    for more in (1, 4):
        found = difference({ONE: (Score(a / 50, 50 * more), Score(b / 50, 50 * more))})
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] < widths[0]


@given(st.floats(0, 1), st.integers(1, 10))
def test_an_accuracy_of_few_images_stays_within_0_and_1(top1: float, images: int) -> None:
    found = accuracy({ONE: Score(top1, images)})
    assert found.low is not None
    assert found.high is not None
    assert -1e-9 <= found.low <= top1 <= found.high <= 1 + 1e-9
