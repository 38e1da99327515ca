"""The dependency graph: order, failures, several at once."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput, Busy, EngineError, Interrupted
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.training import local, schedule
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.local import LocalExecutor
from caffe_transfer.training.train import OnProgress, Settings, TrainingProgress

Train = Callable[[Path, Settings, OnProgress, threading.Event], None]
SETTINGS = Settings(Engine("none", Path("/nonexistent")))
PAPER = paper().networks
BASES = [n for n in PAPER if n.mode is Mode.BASE]


def run(
    needs: dict[str, tuple[str, ...]],
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int = 2,
    stop: threading.Event | None = None,
    gpus: tuple[str, ...] = (),
) -> tuple[list[JobResult], list[JobResult]]:
    monkeypatch.setattr(local, "train_network", train)
    monkeypatch.setattr(local, "BUSY_RETRY_SECONDS", 0.01)
    heard: list[JobResult] = []
    stop = stop or threading.Event()
    slots = local.slots(SETTINGS, jobs, gpus)
    executor = LocalExecutor(Path("results"), slots, lambda _: None, stop)
    results = schedule.run_all(needs, executor, ended=heard.append, stop=stop)
    return results, heard


@given(st.permutations(PAPER))
def test_bases_come_before_what_is_copied_from_them(networks: list[Network]) -> None:
    order = schedule.order(replace(paper(), networks=tuple(networks)))
    assert sorted(order) == sorted(network.name for network in networks)
    place = {name: index for index, name in enumerate(order)}
    for network in networks:
        if network.base_name:
            assert place[network.base_name] < place[network.name]


def test_a_study_without_its_base_is_refused() -> None:
    lonely = next(n for n in PAPER if n.mode is Mode.TRANSFER)
    with pytest.raises(BadInput, match="transfer0A0B_1_1 needs its base half0A"):
        schedule.graph(replace(paper(), networks=(lonely,)))
    with pytest.raises(BadInput, match="names the network half0A twice"):
        schedule.graph(replace(paper(), networks=(Network.parse("half0A"),) * 2))


def test_a_failure_skips_what_needs_it_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(root: Path, *_: object) -> None:
        if root.name == "a":
            raise EngineError("it broke")

    needs = {"a": (), "b": (), "a1": ("a",), "b1": ("b",)}
    results, heard = run(needs, train, monkeypatch)
    assert results == [
        JobResult("a", Outcome.FAILED, "it broke"),
        JobResult("b", Outcome.DONE),
        JobResult("a1", Outcome.SKIPPED, "its base a is not trained"),
        JobResult("b1", Outcome.DONE),
    ]
    assert sorted(result.name for result in heard) == sorted(needs)


def test_as_many_at_once_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(3, timeout=10)

    def train(*_: object) -> None:
        meeting.wait()

    results, _ = run(dict.fromkeys("abc", ()), train, monkeypatch, 3)
    assert {result.outcome for result in results} == {Outcome.DONE}


def test_never_more_at_once_and_each_with_a_device_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy: list[str | None] = []
    most = 0

    def train(_root: Path, settings: Settings, *_: object) -> None:
        nonlocal most
        assert settings.gpu not in busy
        busy.append(settings.gpu)
        most = max(most, len(busy))
        threading.Event().wait(0.01)
        busy.remove(settings.gpu)

    results, _ = run(dict.fromkeys("abcdef", ()), train, monkeypatch, jobs=2, gpus=("0", "1", "2"))
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert most <= 2


def test_a_busy_folder_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def train(root: Path, *_: object) -> None:
        tries.append(root)
        if len(tries) < 3:
            raise Busy("another process")

    results, _ = run({"a": ()}, train, monkeypatch)
    assert results == [JobResult("a", Outcome.DONE)]
    assert tries == [Path("results/a")] * 3


def test_stop_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def train(_root: Path, _settings: Settings, report: OnProgress, stop: threading.Event) -> None:
        report(TrainingProgress("a", 1, 2, 0.5, 0.5, None))
        stop.set()
        raise Interrupted("a was stopped")

    results, _ = run({"a": (), "b": ("a",), "c": ()}, train, monkeypatch, jobs=1, stop=stop)
    assert [result.outcome for result in results] == [
        Outcome.STOPPED,
        Outcome.SKIPPED,
        Outcome.STOPPED,
    ]


def test_an_unforeseen_error_stops_the_other_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would otherwise go on for days before the error is seen."""
    both_run = threading.Barrier(2, timeout=10)
    told_to_stop: list[bool] = []

    def train(root: Path, _settings: Settings, _report: OnProgress, stop: threading.Event) -> None:
        both_run.wait()
        if root.name == "a":
            raise ZeroDivisionError("a bug")
        told_to_stop.append(stop.wait(5))
        raise Interrupted("stopped, with a snapshot")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run({"a": (), "b": (), "c": ("b",)}, train, monkeypatch)
    assert told_to_stop == [True]


def test_ctrl_c_stops_the_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    both_run = threading.Barrier(2, timeout=10)
    told_to_stop: list[bool] = []

    def train(root: Path, _settings: Settings, _report: OnProgress, stop: threading.Event) -> None:
        both_run.wait()
        if root.name == "b":
            told_to_stop.append(stop.wait(5))
            raise Interrupted("stopped, with a snapshot")

    def interrupt(_result: JobResult) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "train_network", train)
    stop = threading.Event()
    executor = LocalExecutor(Path("results"), [SETTINGS] * 2, lambda _: None, stop)
    with pytest.raises(KeyboardInterrupt):
        schedule.run_all({"a": (), "b": ()}, executor, ended=interrupt, stop=stop)
    assert told_to_stop == [True]


def test_threads_are_shared_among_jobs() -> None:
    assert local.threads_for(10_000) == 1
    assert local.threads_for(1) >= 1
