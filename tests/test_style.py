"""The figures' style: the axis of n, means from the base on, and the user's own settings."""

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from caffe_transfer.report import style
from caffe_transfer.report.figure2_contents import means_from_base


@given(st.integers(1, 400))
def test_the_axis_ends_at_the_last_cut_with_whole_and_legible_ticks(last: int) -> None:
    axes = Figure().subplots()
    style.cut_axis(axes, last)
    left, right = axes.get_xlim()
    assert left < 0 < last < right < last + 1
    shown = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert shown[0] == 0
    assert all(tick == int(tick) for tick in shown)
    assert len(shown) <= 21
    if last <= 16:
        assert shown == list(range(last + 1))


def test_means_begin_at_the_base() -> None:
    values = {3: [0.5, 0.75], 1: [0.25]}
    assert means_from_base(values, 0.875) == {0: 0.875, 1: 0.25, 3: 0.625}
    assert means_from_base(values, None) == {1: 0.25, 3: 0.625}
    assert means_from_base({}, 0.875) == {}
    assert style.line(values, 0.875) == ([0, 1, 3], [0.875, 0.25, 0.625])


def test_the_users_settings_come_back_after_an_error_too() -> None:
    @style.styled()
    def fail() -> None:
        assert mpl.rcParams["font.size"] == style.STYLE["font.size"]
        raise ZeroDivisionError

    with mpl.rc_context({"font.size": 30}):
        with pytest.raises(ZeroDivisionError):
            fail()
        assert mpl.rcParams["font.size"] == 30
