"""The study's dependency graph: bases first, several networks at once."""

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
from caffe_transfer.studies.network import Network
from caffe_transfer.training.train import OnProgress, Settings, train_network

BUSY_RETRY_SECONDS = 1.0


class Outcome(StrEnum):
    """How a network's turn ended."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


@dataclass(frozen=True)
class JobResult:
    """One network's end; `reason` says why it is not done."""

    name: str
    end: Outcome
    reason: str = ""


def graph(networks: Sequence[Network]) -> dict[str, tuple[str, ...]]:
    """Each network's name with the names of those that must be trained before it.

    Raises:
        BadInput: a base is not among the networks, or one is there twice.
    """
    names = [network.name for network in networks]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"the study names the network {twice} twice; leave one out")
    needs: dict[str, tuple[str, ...]] = {
        network.name: (network.base_name,) if network.base_name else () for network in networks
    }
    for name, bases in needs.items():
        for base in bases:
            if base not in needs:
                raise BadInput(
                    f"network {name} needs its base {base}, which the study does not train; add "
                    "a group of mode base for it"
                )
    return needs


def order(networks: Sequence[Network]) -> list[str]:
    """Names in an order that respects the graph: bases first, else as the study has them."""
    return list(TopologicalSorter(graph(networks)).static_order())


def run_all(
    results: Path,
    needs: Mapping[str, Sequence[str]],
    settings: Settings,
    jobs: int,
    report: OnProgress,
    stop: threading.Event,
    ended: Callable[[JobResult], None],
    gpus: Sequence[str] = (),
) -> list[JobResult]:
    """Train the networks in `results`, `jobs` at once; one that fails does not stop the others.

    A network whose base fails is skipped.  One that another process still trains is waited for.

    Args:
        needs: from `graph`.
        gpus: each running network holds one of these devices; () leaves it to the solver.
        ended: called with each result, from the calling thread.
    """
    devices: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for slot in range(jobs):
        devices.put(gpus[slot % len(gpus)] if gpus else settings.gpu)

    def work(name: str) -> JobResult:
        device = devices.get()
        try:
            return _train(results / name, replace(settings, gpu=device), report, stop)
        finally:
            devices.put(device)

    sorter = TopologicalSorter(needs)
    sorter.prepare()
    all_results: dict[str, JobResult] = {}
    running: dict[Future[JobResult], str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while sorter.is_active():
            for name in sorter.get_ready():
                if blocked := _blocked(name, needs, all_results):
                    all_results[name] = blocked
                    ended(blocked)
                    sorter.done(name)
                else:
                    running[pool.submit(work, name)] = name
            # The timeout lets signals through to the main thread.
            finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                all_results[name] = future.result()
                ended(all_results[name])
                sorter.done(name)
    return [all_results[name] for name in needs]


def _blocked(
    name: str, needs: Mapping[str, Sequence[str]], results: Mapping[str, JobResult]
) -> JobResult | None:
    for base in needs[name]:
        if results[base].end is not Outcome.DONE:
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
    """BLAS threads for each of `jobs` networks at once on this machine."""
    return max(1, len(os.sched_getaffinity(0)) // jobs)
