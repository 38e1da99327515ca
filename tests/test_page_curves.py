"""Thinned learning curves: fewer points, none invented, no extreme lost, tries kept apart."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report.log_scanner import Series
from caffe_transfer.report.logs import Try, read_logs
from caffe_transfer.report.page.curves import Curves, as_records, thin
from tests.test_results import log

VALUES = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf")))


def series(values: list[float]) -> Series:
    return Series(np.arange(len(values), dtype=np.int64) * 20, np.array(values, np.float64))


@given(st.lists(VALUES, max_size=400), st.integers(4, 60))
def test_thinned_points_are_points(values: list[float], most: int) -> None:
    whole = series(values)
    thinned = thin(whole, most)
    assert len(thinned) <= max(most, 0)
    at = np.searchsorted(whole.iterations, thinned.iterations)
    np.testing.assert_array_equal(whole.iterations[at], thinned.iterations)
    np.testing.assert_array_equal(whole.values[at], thinned.values)
    if len(whole):
        assert (at[0], at[-1]) == (0, len(whole) - 1)
    assert np.isfinite(thinned.values).all() == np.isfinite(whole.values).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_the_extremes_stay(values: list[float], most: int) -> None:
    thinned = thin(series(values), most).values
    assert (thinned.min(), thinned.max()) == (min(values), max(values))


def test_a_loss_that_is_not_finite_is_null() -> None:
    empty = series([])
    (record,) = as_records([Try("x.log", series([2.0, float("nan"), 1.23456]), empty, empty)], 9)
    assert json.loads(json.dumps(record)) == {
        "name": "x.log", "train": [[0, 20, 40], [2.0, None, 1.235]], "accuracy": [[], []],
        "valid": [[], []],
    }  # fmt: skip


def test_tries_share_the_points_by_their_lengths() -> None:
    empty = series([])
    tries = [Try(f"{n}.log", series([1.0] * n), empty, empty) for n in (300, 100)]
    counts = [len(record["train"][0]) for record in as_records(tries, 40)]
    assert sum(counts) <= 40
    assert counts[0] > counts[1] > 2


def test_each_log_is_a_try_and_one_without_values_is_none(tmp_path: Path) -> None:
    files = []
    for name, text in {"a.log": log([3, 2], [0.4]), "b.log": log([2], []), "c.log": ""}.items():
        files.append(tmp_path / name)
        files[-1].write_text(text)
    curves = Curves()
    curves.add("half0A", read_logs(files))
    tries = curves.tries["half0A"]
    assert [(each.name, len(each.train_loss), len(each.accuracy)) for each in tries] == [
        ("a.log", 2, 1), ("b.log", 1, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 5])
def test_short_series_stay_as_they_are(count: int) -> None:
    whole = series([1.0] * count)
    assert thin(whole, 5) is whole
