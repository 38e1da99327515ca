"""What long commands show of their progress."""

import math
import threading
import time

import pytest

from caffe_transfer.cli import show
from caffe_transfer.cli.show import Overall, Pace, Screen
from caffe_transfer.training.schedule import JobResult, Outcome
from caffe_transfer.training.train import TrainingProgress


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


def test_bytes_are_written_as_sizes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Screen(total=0) as screen:
        for done in range(0, 6_000_000_001, 100_000_000):
            screen.comparing(done, 6_000_000_000, say_end=True)
            clock.now += show.LINE_SECONDS / 20
        screen.comparing(5, 10, say_end=False)
        screen.comparing(10, 10, say_end=False)
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 2.0 GB of 6.0 GB  66.7 MB/s  60 s left",
        "comparing: 4.0 GB of 6.0 GB  66.7 MB/s  30 s left",
        "comparing: 6.0 GB",
    ]


def training(name: str, iteration: int, left: float | None = None) -> TrainingProgress:
    return TrainingProgress(name, iteration, 1000, 0.5, math.nan, left)


def test_lines_of_trainings_become_rare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Screen(total=2) as screen:
        screen.expect({"a": 1000, "b": 1000})
        for iteration in range(0, 1000, 5):
            screen.network(training("a", iteration, left=60.0))
            clock.now += show.LINE_SECONDS / 2
        screen.ended(JobResult("a", Outcome.DONE))
    lines = capsys.readouterr().err.splitlines()
    of_a = [line for line in lines if line.startswith("a: ")]
    assert of_a[:2] == [
        "a: 10 of 1000  loss 0.500  60 s left",
        "a: 20 of 1000  loss 0.500  60 s left",
    ]
    assert 20 < len(of_a) < 60  # not the 100 of a line every half a minute
    assert "all networks: 0 of 2 ended  1.6 h left" in lines
    assert lines[-1] == "[1/2] a done"


def test_a_stop_names_what_was_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    with Screen(total=4, stop=stop) as screen:
        screen.network(training("a", 5))
        stop.set()
        screen.network(training("a", 6))
        screen.network(training("a", 7))
        screen.ended(JobResult("a", Outcome.STOPPED, "stopped at iteration 7 of 1000; run again"))
        screen.ended(JobResult("b", Outcome.STOPPED, "stopped before its turn"))
        screen.ended(JobResult("c", Outcome.SKIPPED, "its base a is not trained"))
    assert capsys.readouterr().err.splitlines() == [
        "stopping: the networks in training write snapshots",
        "a stopped at iteration 7 of 1000",
    ]


def test_a_failed_network_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    overall = Overall({"a": 1000, "b": 1000, "c": 500})
    assert overall.seconds_left() is None
    overall.progress(training("a", 0))
    clock.now += 100
    overall.progress(training("a", 500))
    assert overall.seconds_left() == 400
    overall.ended("b", trained=False)
    assert overall.seconds_left() == 200
    overall.ended("a", trained=True)
    assert (overall.done, overall.total) == (1000, 1500)
