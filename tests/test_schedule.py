"""The dependency graph: order, failures, several at once."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput, Busy, EngineError, Interrupted, RefusedNet
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.training import devices, local, schedule
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.local import LocalExecutor
from caffe_transfer.training.train import OnProgress, Settings, TrainingProgress

Train = Callable[[Path, Settings, OnProgress, threading.Event], None]
SETTINGS = Settings(Engine("none", Path("/nonexistent")))
PAPER = paper().networks
BASES = [n for n in PAPER if n.mode is Mode.BASE]


def run(
    needs: Mapping[str, Sequence[str]],
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int = 2,
    stop: threading.Event | None = None,
    gpus: tuple[str, ...] = (),
    retries: schedule.Retries | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[JobResult], list[JobResult]]:
    monkeypatch.setattr(local, "train_network", train)
    monkeypatch.setattr(local, "BUSY_RETRY_SECONDS", 0.01)
    heard: list[JobResult] = []
    stop = stop or threading.Event()
    slots = local.slots(SETTINGS, jobs, gpus)
    executor = LocalExecutor(Path("results"), slots, lambda _: None, stop, say=say)
    results = schedule.run_all(needs, executor, ended=heard.append, stop=stop, retries=retries)
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


class Scheduler:
    """An executor that holds jobs until their bases are done, and ends them if one fails."""

    waits_for_bases = True

    def __init__(
        self, failures: dict[str, int] | None = None, limit: int = 100, early: bool = False
    ) -> None:
        self.failures, self.limit, self.early = dict(failures or {}), limit, early
        self.jobs: dict[str, Sequence[str]] = {}
        self.submitted: list[str] = []
        self.good: set[str] = set()
        self.bad: set[str] = set()
        self.cancelled = self.closed = False

    def room(self) -> bool:
        return len(self.jobs) < self.limit

    def submit(self, name: str, after: Sequence[str]) -> None:
        assert all(base in self.jobs for base in after), "a job waits for one that is not there"
        self.jobs[name] = after
        self.bad.discard(name)
        self.submitted.append(name)

    def ended(self) -> list[JobResult]:
        results = []
        for name, after in list(self.jobs.items()):
            if self.cancelled:
                results.append(JobResult(name, Outcome.STOPPED, "cancelled"))
            elif self.bad & set(after):
                results.append(JobResult(name, Outcome.FAILED, "dependency", may_pass=True))
                self.bad.add(name)
            elif not self.good.issuperset(after):
                continue
            elif self.failures.get(name, 0):
                self.failures[name] -= 1
                results.append(JobResult(name, Outcome.FAILED, "it broke", may_pass=True))
                self.bad.add(name)
            else:
                results.append(JobResult(name, Outcome.DONE))
                self.good.add(name)
        for result in results:
            del self.jobs[result.name]
        return results[::-1] if self.early else results

    def cancel(self) -> None:
        self.cancelled = True

    def close(self) -> None:
        self.closed = True


CHAIN = {"a": (), "a1": ("a",), "a2": ("a1",), "b": (), "b1": ("b",)}


def run_on(
    scheduler: Scheduler, retries: int = 0, stop: threading.Event | None = None
) -> tuple[dict[str, Outcome], list[JobResult], list[JobResult]]:
    ended: list[JobResult] = []
    again: list[JobResult] = []
    results = schedule.run_all(
        CHAIN,
        scheduler,
        ended=ended.append,
        stop=stop or threading.Event(),
        retries=schedule.Retries(retries, again.append),
    )
    assert scheduler.closed
    assert [result.name for result in results] == list(CHAIN)
    assert sorted(result.name for result in ended) == sorted(CHAIN)
    return {result.name: result.outcome for result in results}, ended, again


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_scheduler_gets_all_at_once_and_holds_them(early: bool, limit: int) -> None:
    scheduler = Scheduler(limit=limit, early=early)
    outcomes, _, _ = run_on(scheduler)
    assert set(outcomes.values()) == {Outcome.DONE}
    assert sorted(scheduler.submitted) == sorted(CHAIN)


@pytest.mark.parametrize("early", [False, True])
def test_what_a_scheduler_ends_for_its_base_is_skipped(early: bool) -> None:
    outcomes, ended, _ = run_on(Scheduler({"a": 1}, early=early))
    assert outcomes == {
        "a": Outcome.FAILED, "a1": Outcome.SKIPPED, "a2": Outcome.SKIPPED,
        "b": Outcome.DONE, "b1": Outcome.DONE,
    }  # fmt: skip
    assert [each.reason for each in ended if each.name == "a"] == ["it broke"]


@pytest.mark.parametrize("early", [False, True])
def test_a_base_that_is_tried_again_takes_its_networks_along(early: bool) -> None:
    scheduler = Scheduler({"a": 1, "b1": 2}, early=early)
    outcomes, _, again = run_on(scheduler, retries=1)
    assert outcomes == {
        "a": Outcome.DONE, "a1": Outcome.DONE, "a2": Outcome.DONE,
        "b": Outcome.DONE, "b1": Outcome.FAILED,
    }  # fmt: skip
    assert [each.name for each in again] == ["a", "b1"]
    assert scheduler.submitted.count("b") == 1


def test_a_stop_ends_all_of_a_schedulers_jobs() -> None:
    stop = threading.Event()
    stop.set()
    outcomes, _, _ = run_on(Scheduler(), stop=stop)
    assert set(outcomes.values()) == {Outcome.STOPPED, Outcome.SKIPPED}


def test_the_first_refusal_ends_a_run_and_a_later_one_fails_its_network() -> None:
    class Refusing(Scheduler):
        refused = "a"

        def submit(self, name: str, after: Sequence[str]) -> None:
            if name == self.refused:
                raise BadInput(f"sbatch refuses {name}: no such partition")
            super().submit(name, after)

    scheduler = Refusing()
    with pytest.raises(BadInput, match="no such partition"):
        run_on(scheduler)
    assert scheduler.closed
    scheduler = Refusing()
    scheduler.refused = "b"
    outcomes, _, _ = run_on(scheduler)
    assert outcomes["b"] is Outcome.FAILED
    assert outcomes["b1"] is Outcome.SKIPPED
    assert outcomes["a2"] is Outcome.DONE


def test_networks_are_left_to_a_scheduler() -> None:
    scheduler = Scheduler(limit=2)
    assert schedule.submit_all(CHAIN, scheduler) == scheduler.submitted
    assert scheduler.submitted[0] in "ab"
    assert sorted(scheduler.submitted) == sorted(CHAIN)
    assert scheduler.closed
    assert not scheduler.cancelled
    scheduler = Scheduler({"a": 1}, limit=1)
    assert sorted(schedule.submit_all(CHAIN, scheduler)) == ["a", "b", "b1"]


@given(
    st.dictionaries(st.sampled_from(list(CHAIN)), st.integers(1, 4)),
    st.integers(0, 3),
    st.integers(1, 5),
    st.booleans(),
)
def test_every_network_ends_once_however_jobs_fail(
    failures: dict[str, int], retries: int, limit: int, early: bool
) -> None:
    outcomes, _, _ = run_on(Scheduler(failures, limit, early), retries)
    for name, outcome in outcomes.items():
        bases_done = all(outcomes[base] is Outcome.DONE for base in CHAIN[name])
        own = failures.get(name, 0) <= retries
        expected = Outcome.SKIPPED if not bases_done else Outcome.DONE if own else Outcome.FAILED
        assert outcome is expected, name


def test_a_network_that_fails_by_itself_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: Counter[str] = Counter()

    def train(root: Path, *_: object) -> None:
        tries[root.name] += 1
        if root.name == "twice" or (root.name == "once" and tries["once"] == 1):
            raise EngineError(f"try {tries[root.name]}")
        if root.name == "wrong":
            raise BadInput("no such layer")
        if root.name == "refused":
            raise RefusedNet("Unknown layer type")

    again: list[JobResult] = []
    needs = dict.fromkeys(["twice", "once", "wrong", "refused", "good"], ())
    results, _ = run(needs, train, monkeypatch, retries=schedule.Retries(1, again.append))
    assert tries == {"twice": 2, "once": 2, "wrong": 1, "refused": 1, "good": 1}
    assert [result.reason for result in results] == [
        "try 2", "", "no such layer", "Unknown layer type", ""
    ]  # fmt: skip
    assert sorted(each.name for each in again) == ["once", "twice"]


def test_a_dead_device_takes_no_network_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight devices, one dead: in an earlier version it failed 80 of 170 networks."""
    monkeypatch.setattr(devices, "QUICK_SECONDS", 0.2)
    said: list[str] = []

    def train(_root: Path, settings: Settings, *_: object) -> None:
        if settings.gpu == "3":
            raise EngineError("killed")
        threading.Event().wait(0.3)

    gpus = tuple(map(str, range(8)))
    needs = {f"n{number}": () for number in range(60)}
    results, _ = run(needs, train, monkeypatch, jobs=8, gpus=gpus, say=said.append)
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert len(said) == 1
    assert said[0].startswith("GPU 3 gets no more networks")


def test_without_a_device_left_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def train(root: Path, *_: object) -> None:
        tries.append(root.name)
        raise EngineError("Check failed: error == cudaSuccess (100 vs. 0) no CUDA-capable device")

    needs = {f"n{number}": () for number in range(170)}
    with pytest.raises(EngineError, match="no device is left that trains networks"):
        run(needs, train, monkeypatch, jobs=2, gpus=("0", "1"))
    assert len(tries) < 10
