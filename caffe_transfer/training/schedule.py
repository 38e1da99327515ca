"""Trains the networks of a study in the order of their dependencies, several at once."""

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path

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

    Returns:
        One result per network, in the order of `needs`.
    """
    free: queue.SimpleQueue[Settings] = queue.SimpleQueue()
    for slot in slots(settings, jobs, gpus):
        free.put(slot)

    def work(name: str) -> JobResult:
        slot = free.get()
        try:
            return _train(results / name, slot, report, stop)
        finally:
            free.put(slot)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            outcomes = _run_graph(needs, lambda name: pool.submit(work, name), ended)
        except BaseException:
            stop.set()  # or leaving the pool would wait for every training to reach its end
            raise
    return [outcomes[name] for name in needs]


def slots(settings: Settings, jobs: int, gpus: Sequence[str]) -> list[Settings]:
    """The settings of each of the networks that are trained at once: they share the devices."""
    if not gpus:
        return [settings] * jobs
    return [replace(settings, gpu=gpus[slot % len(gpus)]) for slot in range(jobs)]


def _run_graph(
    needs: Mapping[str, Sequence[str]],
    submit: Callable[[str], Future[JobResult]],
    ended: Callable[[JobResult], None],
) -> dict[str, JobResult]:
    """Submit each network once its bases are done; returns the results by name."""
    results: dict[str, JobResult] = {}
    running: set[Future[JobResult]] = set()
    sorter = TopologicalSorter(needs)
    sorter.prepare()

    def record(result: JobResult) -> None:
        results[result.name] = result
        ended(result)
        sorter.done(result.name)

    while sorter.is_active():
        for name in sorter.get_ready():
            if blocked := _blocked(name, needs, results):
                record(blocked)
            else:
                running.add(submit(name))
        # The timeout lets signals through to the main thread.
        finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in finished:
            running.remove(future)
            record(future.result())
    return results


def _blocked(
    name: str, needs: Mapping[str, Sequence[str]], results: Mapping[str, JobResult]
) -> JobResult | None:
    for base in needs[name]:
        if results[base].outcome is not Outcome.DONE:
            return JobResult(name, Outcome.SKIPPED, f"its base {base} is not trained")
    return None


def _train(root: Path, settings: Settings, report: OnProgress, stop: threading.Event) -> JobResult:
    while not stop.is_set():
        try:
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
