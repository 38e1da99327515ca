"""Inside a job of Slurm, whose commands are stand-ins here; tests/cluster has real ones."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.errors import BadInput, Busy, EngineError, Interrupted
from caffe_transfer.training import slurm_job
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.slurm_job import cores, job_id, train_in_job
from caffe_transfer.training.train import OnProgress, Settings
from tests.small_study import script

SETTINGS = Settings(Engine("none", Path("/nonexistent")))
Train = Callable[[Path, Settings, OnProgress, threading.Event], dict[str, object]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job with stand-ins of Slurm's commands, which note how they are called."""
    noted = tmp_path / "calls"
    noted.touch()
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin/squeue", "echo ${STATE-RUNNING}\n")
    script(tmp_path / "bin/scontrol", f'echo "$@" >> {noted}\n')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    return noted


def trains(monkeypatch: pytest.MonkeyPatch, train: Train) -> None:
    monkeypatch.setattr(slurm_job, "train_network", train)


def interrupted(*_: object) -> dict[str, object]:
    raise Interrupted("stopped at iteration 3 of 9")


def busy(*_: object) -> dict[str, object]:
    raise Busy("another process works in it")


def finished(*_: object) -> dict[str, object]:
    return {"finished": "now"}


def event(is_set: bool) -> threading.Event:
    made = threading.Event()
    if is_set:
        made.set()
    return made


def call(*, limit: bool) -> dict[str, object]:
    return train_in_job(Path("half0A"), SETTINGS, lambda _: None, event(limit), event(limit))


def test_at_its_limit_a_job_goes_back_to_the_queue(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains(monkeypatch, interrupted)
    with pytest.raises(Interrupted, match="iteration 3 of 9; job 17 is in the queue again"):
        call(limit=True)
    assert calls.read_text() == "requeue 17\n"


def test_one_that_was_cancelled_or_stopped_does_not(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains(monkeypatch, interrupted)
    with pytest.raises(Interrupted, match=r"^stopped at iteration 3 of 9$"):
        call(limit=False)
    monkeypatch.setenv("STATE", "COMPLETING")
    with pytest.raises(Interrupted, match=r"^stopped at iteration 3 of 9$"):
        call(limit=True)
    assert calls.read_text() == ""


def test_a_folder_that_is_busy_is_waited_for(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [busy, busy, finished]

    def train(*_: object) -> dict[str, object]:
        return answers.pop(0)()

    trains(monkeypatch, train)
    monkeypatch.setattr(slurm_job, "BUSY_RETRY_SECONDS", 0.0)
    assert call(limit=False) == {"finished": "now"}
    trains(monkeypatch, busy)
    with pytest.raises(Interrupted, match="job 17 is in the queue again"):
        call(limit=True)


def test_slurm_may_refuse(calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trains(monkeypatch, interrupted)
    script(tmp_path / "bin/scontrol", "echo 'Requested operation is disabled' >&2; exit 1\n")
    with pytest.raises(EngineError, match=r"^Slurm's scontrol fails: Requested operation"):
        call(limit=True)


def test_outside_of_a_job() -> None:
    with pytest.raises(BadInput, match=r"--requeue is for a job of Slurm.*; leave it out"):
        job_id({})


def test_cores_of_a_job() -> None:
    assert cores({"SLURM_CPUS_ON_NODE": "6"}) == 6
    assert cores({}) is None


@pytest.mark.parametrize(
    ("number", "limit"),
    [(signal.SIGUSR1, True), (signal.SIGTERM, True), (signal.SIGINT, False)],
)
def test_which_signals_are_limits(number: signal.Signals, limit: bool) -> None:
    with stop_on_signal(in_job=True) as stop:
        signal.raise_signal(number)
        time.sleep(0.01)
        assert stop.is_set()
        assert stop.limit.is_set() == limit


def test_a_limit_that_came_before_anyone_listened() -> None:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))
    try:
        signal.raise_signal(signal.SIGUSR1)
        with stop_on_signal(in_job=True) as stop:
            time.sleep(0.01)
            assert stop.limit.is_set()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def test_elsewhere_sigterm_is_none() -> None:
    with stop_on_signal() as stop:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.01)
        assert (stop.is_set(), stop.limit.is_set()) == (True, False)
