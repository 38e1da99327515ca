"""What long commands show of their progress."""

import io
import math
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from caffe_transfer.cli import show
from caffe_transfer.cli.networks import Networks, Overall
from caffe_transfer.cli.rows import rendered
from caffe_transfer.cli.run_log import RunLog
from caffe_transfer.cli.show import Pace, Screen
from caffe_transfer.training.executor import JobResult, Outcome
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
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clock, log = Clock(monkeypatch), RunLog()
    log.begin(tmp_path / "run.log")
    with Screen(total=2, log=log) as screen:
        screen.expect({"a": 1000, "b": 1000})
        for iteration in range(0, 1000, 5):
            screen.network(training("a", iteration, left=60.0))
            clock.now += show.LINE_SECONDS / 2
        screen.ended(JobResult("a", Outcome.DONE))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "0 of 2 trained, 1 in training, 1.7 h left: a 1%",
        "0 of 2 trained, 1 in training, 1.6 h left: a 2%",
    ]
    assert 20 < len(lines) < 60  # not the 100 of a line every half a minute
    logged = [line.split(" ", 2)[2] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert logged == [*lines, "a done"]


def test_lines_of_one_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Screen(total=1) as screen:
        for iteration in (0, 10):
            screen.network(training("a", iteration, left=60.0))
            clock.now += show.LINE_SECONDS
    assert capsys.readouterr().err == "a: 10 of 1000  loss 0.500  60 s left\n"


def test_a_failure_is_told_once_and_what_lacks_its_base_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clock, log = Clock(monkeypatch), RunLog()
    with Screen(total=170, log=log) as screen:
        screen.network(training("half0A", 10))
        screen.failed(JobResult("half0A", Outcome.FAILED, "killed"))
        screen.ended(JobResult("half0A", Outcome.FAILED, "killed again"))
        for n in range(1, 8):
            name = f"transfer0A0B_1_{n}"
            screen.ended(JobResult(name, Outcome.SKIPPED, "its base half0A is not trained"))
        clock.now += show.LINE_SECONDS
        screen.network(training("half1A", 10))
    assert capsys.readouterr().err.splitlines() == [
        "half0A is tried again, since it failed: killed",
        "half0A failed: killed again",
        "0 of 170 trained, 1 in training, 1 failed, 7 lack their base: half1A 1%",
    ]
    log.begin(tmp_path / "log")  # the lines before have waited
    assert "transfer0A0B_1_7 skipped: its base half0A" in (tmp_path / "log").read_text()


NATMAN = [f"transfernatmanAB_1_{n}" for n in range(1, 8)]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_names_are_whole_at_any_width(width: int) -> None:
    networks = Networks(170)
    for number, name in enumerate(NATMAN):
        networks.progress(TrainingProgress(name, 100 * number, 1000, 2.5, 0.25, 7200.0))
    shown, rest = networks.rows(most=5)
    assert rest == "and 2 more in training"
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(rendered(shown, width))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines)
    assert [line.split()[0] for line in lines] == NATMAN[:5] if width >= 30 else True
    assert "".join(lines).replace(" ", "").count("transfernatmanAB_1_") == 5
    if width >= 80:
        assert all("2.0 h left  loss 2.500  accuracy 25.0%" in line for line in lines)


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
