"""Trains the networks of a study in the order of their dependencies, several at once."""

import os
import queue
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Protocol

from caffe_transfer.errors import BadInput, Busy, CaffeTransferError, Interrupted
from caffe_transfer.studies.study import Study
from caffe_transfer.training.train import OnProgress, Settings, train_network

BUSY_RETRY_SECONDS = 1.0


class Outcome(StrEnum):
    """Outcome of a job."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


@dataclass(frozen=True)
class JobResult:
    """Result of one network's job; `reason` says why the network is not trained."""

    name: str
    outcome: Outcome
    reason: str = ""

    def as_dict(self) -> dict[str, str]:
        """The attributes by name."""
        return {"name": self.name, "outcome": self.outcome.value, "reason": self.reason}


def graph(study: Study) -> dict[str, tuple[str, ...]]:
    """Map each network's name to the names of those that must be trained before it.

    Raises:
        BadInput: a base is not among the networks, or a network occurs twice.
    """
    names = [network.name for network in study.networks]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"the study names the network {twice} twice; leave one out")
    needs: dict[str, tuple[str, ...]] = {
        network.name: (network.base_name,)
        if network.base_name and not study.given_base(network)
        else ()
        for network in study.networks
    }
    for name, bases in needs.items():
        for base in bases:
            if base not in needs:
                raise BadInput(
                    f"network {name} needs its base {base}, which the study does not train; add "
                    "a group of mode base for it"
                )
    return needs


def order(study: Study) -> list[str]:
    """Return the networks' names, bases first, otherwise in the order of the study."""
    return list(TopologicalSorter(graph(study)).static_order())


class Turns(Protocol):
    """Which network starts next, and what is made for it beforehand."""

    def start(self, ready: Collection[str]) -> str | None:
        """Choose one of those whose bases are done; None to wait until another has ended.

        If none is in training, one is chosen.
        """

    def make(self, name: str) -> None:
        """Make what a network reads; called where it is trained, several at once.

        Raises:
            Interrupted: stopped on request.
            CaffeTransferError: it cannot be made; the network is not trained then.
        """

    def end(self, result: JobResult) -> None:
        """Note the result of a network, chosen or not."""


class InOrder:
    """Networks start as soon as their bases are done; all that they read is there."""

    def start(self, ready: Collection[str]) -> str | None:
        return next(iter(ready))

    def make(self, name: str) -> None:
        pass

    def end(self, result: JobResult) -> None:
        pass


def run_all(
    results: Path,
    needs: Mapping[str, Sequence[str]],
    settings: Settings,
    *,
    jobs: int,
    gpus: Sequence[str] = (),
    report: OnProgress,
    ended: Callable[[JobResult], None],
    stop: threading.Event,
    turns: Turns | None = None,
) -> list[JobResult]:
    """Train the networks in `results`, up to `jobs` at once; a failure does not stop the others.

    A network whose base failed is skipped.  One that another process is training is waited for.
    Any error other than the library's own, and Ctrl-C, sets `stop` before it is raised, so that
    the networks in training write a snapshot and end.

    Args:
        results: the folder that holds the networks' folders.
        needs: as returned by `graph`.
        gpus: devices, of which each network in training holds one; () leaves it to the settings.
        report: called with each network's progress, from several threads.
        ended: called with each result, from the calling thread.
        stop: set it to end all training.
        turns: chooses what starts next; by default the first whose bases are done.

    Returns:
        One result per network, in the order of `needs`.
    """
    turns = turns or InOrder()
    free: queue.SimpleQueue[Settings] = queue.SimpleQueue()
    for slot in slots(settings, jobs, gpus):
        free.put(slot)

    def work(name: str) -> JobResult:
        slot = free.get()
        try:
            return _train(results / name, slot, turns, report, stop)
        finally:
            free.put(slot)

    with ThreadPoolExecutor(jobs) as pool:
        running = _Running(lambda name: pool.submit(work, name), jobs, turns, stop)
        try:
            outcomes = _run_graph(needs, running, ended)
        except BaseException:
            stop.set()  # or leaving the pool would wait for every training to reach its end
            raise
    return [outcomes[name] for name in needs]


def slots(settings: Settings, jobs: int, gpus: Sequence[str]) -> list[Settings]:
    """The settings of each of the networks that are trained at once: they share the devices."""
    if not gpus:
        return [settings] * jobs
    return [replace(settings, gpu=gpus[slot % len(gpus)]) for slot in range(jobs)]


class _Running:
    """The networks in training, and those whose turn has not come though their bases are done."""

    def __init__(
        self,
        submit: Callable[[str], Future[JobResult]],
        jobs: int,
        turns: Turns,
        stop: threading.Event,
    ) -> None:
        self._submit, self._jobs, self.turns, self._stop = submit, jobs, turns, stop
        self._ready: dict[str, None] = {}
        self._futures: set[Future[JobResult]] = set()

    def add(self, name: str) -> None:
        """Let a network wait for its turn."""
        self._ready[name] = None

    def start(self) -> None:
        """Start as many as may be; those that come after a stop end at once."""
        while self._ready and len(self._futures) < self._jobs:
            name = next(iter(self._ready)) if self._stop.is_set() else self.turns.start(self._ready)
            if name is None:
                return
            del self._ready[name]
            self._futures.add(self._submit(name))

    def ended(self) -> list[JobResult]:
        """Wait a little; the results of those that have ended."""
        # The timeout lets signals through to the main thread.
        finished, self._futures = wait(self._futures, timeout=0.5, return_when=FIRST_COMPLETED)
        return [future.result() for future in finished]


def _run_graph(
    needs: Mapping[str, Sequence[str]],
    running: _Running,
    ended: Callable[[JobResult], None],
) -> dict[str, JobResult]:
    """Train each network once its bases are done; returns the results by name."""
    results: dict[str, JobResult] = {}
    sorter = TopologicalSorter(needs)
    sorter.prepare()

    def record(result: JobResult) -> None:
        results[result.name] = result
        ended(result)
        running.turns.end(result)
        sorter.done(result.name)

    while sorter.is_active():
        for name in sorter.get_ready():
            if blocked := _blocked(name, needs, results):
                record(blocked)
            else:
                running.add(name)
        running.start()
        for result in running.ended():
            record(result)
    return results


def _blocked(
    name: str, needs: Mapping[str, Sequence[str]], results: Mapping[str, JobResult]
) -> JobResult | None:
    for base in needs[name]:
        if results[base].outcome is not Outcome.DONE:
            return JobResult(name, Outcome.SKIPPED, f"its base {base} is not trained")
    return None


def _train(
    root: Path, settings: Settings, turns: Turns, report: OnProgress, stop: threading.Event
) -> JobResult:
    while not stop.is_set():
        try:
            turns.make(root.name)
            train_network(root, settings, report, stop)
            return JobResult(root.name, Outcome.DONE)
        except Busy:
            stop.wait(BUSY_RETRY_SECONDS)
        except Interrupted as error:
            return JobResult(root.name, Outcome.STOPPED, str(error))
        except CaffeTransferError as error:
            return JobResult(root.name, Outcome.FAILED, str(error))
    return JobResult(root.name, Outcome.STOPPED, "stopped before its turn")


def threads_for(jobs: int) -> int:
    """Return the number of BLAS threads for each of `jobs` concurrent trainings."""
    return max(1, len(os.sched_getaffinity(0)) // jobs)
