"""Metrics of a training: against numpy, and where there are few values or none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report import metric
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.results import COLUMNS

accuracies = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(accuracies)
def test_the_paper_s_metric_is_between_mean_and_highest(values: list[float]) -> None:
    mean = metric.mean_of_highest(np.array(values))
    assert mean is not None
    assert np.mean(values) - 1e-12 <= mean <= max(values) + 1e-12
    assert mean == pytest.approx(np.mean(sorted(values)[::-1][:10]))


@given(accuracies)
def test_the_last_ten_are_never_above_the_ten_highest(values: list[float]) -> None:
    last, best = metric.mean_of_last(np.array(values)), metric.mean_of_highest(np.array(values))
    assert last is not None
    assert best is not None
    assert last == pytest.approx(np.mean(values[-10:]))
    assert last <= best + 1e-12


def test_of_nothing_there_is_no_mean() -> None:
    nothing = np.array([])
    assert metric.mean_of_highest(nothing) is None
    assert metric.mean_of_last(nothing) is None
    assert metric.mean_of_lowest(nothing) is None
    assert metric.stalled(nothing, 10) is None


def test_losses_that_are_not_finite() -> None:
    assert metric.mean_of_lowest(np.array([math.inf, 1.0, 3.0])) == 2
    never = metric.mean_of_lowest(np.array([math.inf]))
    assert never is not None
    assert math.isnan(never)


def test_every_metric_is_a_column_and_has_a_name() -> None:
    assert {each.column for each in Metric} == {"top1", "top1_last", "top1_last10"}
    assert {each.column for each in Metric} <= set(COLUMNS)
    assert len({each.label for each in Metric}) == len({each.note for each in Metric}) == 3
