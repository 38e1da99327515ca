"""What long commands show of their progress."""

import time

import pytest

from caffe_transfer.cli import show
from caffe_transfer.cli.show import Pace, Screen


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_a_pace_counts_what_this_run_has_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(first=5000)
    assert pace.note(5000, 20_000) == ""
    clock.now += 10
    assert pace.note(10_000, 20_000) == "500/s  20 s left"
    clock.now += 990
    assert pace.note(6000, 20_000) == "1.0/s  3.9 h left"


def test_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Screen(total=1) as screen:
        for done in range(0, 1001, 10):
            screen.step("whole_train", done, 1000)
            clock.now += show.LINE_SECONDS / 40
    assert capsys.readouterr().err.splitlines() == [
        "whole_train: 400 of 1000  13/s  45 s left",
        "whole_train: 800 of 1000  13/s  15 s left",
        "whole_train: 1000",
    ]
