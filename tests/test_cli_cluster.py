"""`run --on`: options, and a run on a scheduler that is played by a module of this test."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from caffe_transfer.cli import cli
from caffe_transfer.errors import BadInput
from caffe_transfer.paths import RunFolder
from caffe_transfer.training import executor
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.executor import ExecutorOptions, JobResult, result_of
from caffe_transfer.training.train import Settings, train_network
from tests.small_study import write_study


class Scheduler:
    """Trains a network in `ended`, one at a time, as soon as those that it waits for are done."""

    waits_for_bases = True

    def __init__(self, folder: RunFolder, options: ExecutorOptions, engine: Engine) -> None:
        self.folder, self.options, self.engine = folder, options, engine
        self.jobs: dict[str, Sequence[str]] = {}
        self.submitted: dict[str, Sequence[str]] = {}
        self.closed = False

    def room(self) -> bool:
        return self.options.jobs is None or len(self.jobs) < self.options.jobs

    def submit(self, name: str, after: Sequence[str]) -> None:
        self.jobs[name] = self.submitted[name] = after

    def ended(self) -> list[JobResult]:
        name = next(name for name, after in self.jobs.items() if not self.jobs.keys() & {*after})
        del self.jobs[name]
        network = self.folder.network(name)
        train_network(network.root, Settings(self.engine), lambda _: None, threading.Event())
        return [result_of(network, "COMPLETED")]

    def cancel(self) -> None:
        self.jobs.clear()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(caffe_bin: Path, monkeypatch: pytest.MonkeyPatch) -> list[Scheduler]:
    """The schedulers that `run` has made."""
    found: list[Scheduler] = []
    module = ModuleType("played_scheduler")

    def make(folder: RunFolder, options: ExecutorOptions) -> Scheduler:
        found.append(Scheduler(folder, options, Engine("caffe", caffe_bin)))
        return found[-1]

    module.make_executor = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "played_scheduler", module)
    monkeypatch.setitem(executor.MODULES, "slurm", "played_scheduler")
    monkeypatch.setenv("CAFFE_BIN", "/nonexistent")  # the nodes have it, this machine need not
    return found


def run(folder: Path, *more: str) -> Any:
    study = folder / "small.toml"
    if not study.exists():
        write_study(folder)
    arguments = ["run", str(study), "--out", str(folder / "run"), "--from", str(folder / "given")]
    return CliRunner().invoke(cli, [*arguments, *more])


def test_a_run_on_a_scheduler_from_images_to_report(tmp_path: Path, made: list[Scheduler]) -> None:
    result = run(
        tmp_path, "--on", "slurm", "--scheduler-option", "partition=gpu", "--scheduler-option",
        "--time=24:00:00", "--engine", "caffe", "--jobs", "3",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "6 of 6 networks are trained" in result.stderr
    assert (tmp_path / "run/report/results.csv").is_file()
    asked, scheduler = made
    assert asked.closed
    assert asked.submitted == {}
    assert scheduler.closed
    assert scheduler.options == ExecutorOptions(
        train=["--engine", "caffe"], jobs=3, scheduler={"partition": "gpu", "time": "24:00:00"}
    )
    log = (tmp_path / "run/run.log").read_text()
    assert log.count(" done\n") == 6
    again = run(tmp_path, "--on", "slurm", "--engine", "caffe")
    assert again.exit_code == 0, again.output
    assert made[-1].submitted == {}  # nothing is left to do


def test_networks_are_left_to_a_scheduler(tmp_path: Path, made: list[Scheduler]) -> None:
    result = run(tmp_path, "--on", "slurm", "--engine", "caffe", "--detach")
    assert result.exit_code == 0, result.output
    assert "6 networks are submitted to slurm; caffe-transfer status" in result.stderr
    scheduler = made[-1]
    assert scheduler.closed
    assert scheduler.submitted["transfer0A0B_1_3"] == ["half0A"]
    assert scheduler.submitted["half0A"] == []


def test_only_a_scheduler_that_holds_jobs_can_be_left(
    tmp_path: Path, made: list[Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scheduler, "waits_for_bases", False)
    result = run(tmp_path, "--on", "slurm", "--engine", "caffe", "--detach")
    assert isinstance(result.exception, BadInput)
    assert "does not let jobs wait for others, so that this" in str(result.exception)
    assert made[0].closed
    assert not (tmp_path / "run/data").exists()  # it is said before anything is made


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--detach"], "--detach is for schedulers; name one with --on slurm or --on ray"),
        (["--scheduler-option", "a=b"], "--scheduler-option is for schedulers"),
        (["--on", "slurm", "--gpu", "0"], "--gpu names devices of this machine; slurm gives each"),
        (["--on", "slurm", "--scheduler-option", "gpu"], "--scheduler-option gpu is no KEY=VALUE"),
        (
            ["--on", "ray", "--scheduler-option", "a=1", "--scheduler-option", "a=2"],
            "--scheduler-option gives a twice; leave one out",
        ),
        (["--on", "slurm", "--disk", "1TB"], "--disk makes databases in turns, which only one"),
        (["--on", "pbs"], "'pbs' is not one of 'local', 'slurm', 'ray'"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, arguments: list[str], sentence: str, made: list[Scheduler]
) -> None:
    result = run(tmp_path, "--engine", "caffe-torch", *arguments)
    told = f"{result.stderr} {result.exception}"
    assert result.exit_code != 0
    assert sentence in " ".join(told.split())
