"""What of a study is still to be trained, and how long that takes at paces that were measured."""

import heapq
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from caffe_transfer.paths import RunFolder
from caffe_transfer.report.logs import log_files, read_logs
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.snapshots import snapshots


@dataclass(frozen=True)
class Left:
    """A network that is not trained to its end, and the iterations that it lacks."""

    network: Network
    iterations: int


def left(study: Study, folder: RunFolder) -> list[Left]:
    """The networks of a study that a run has not trained to their end, in the study's order."""
    found = []
    for network in study.networks:
        max_iter = study.solver_of(network).max_iter
        files = folder.network(network.name)
        if not manifests.is_trained(files, max_iter):
            newest = next(iter(snapshots(files.snapshots)), None)
            found.append(Left(network, max_iter - newest.iteration if newest else max_iter))
    return found


def measured_paces(networks: Iterable[Network], folder: RunFolder) -> dict[Network, float]:
    """Seconds an iteration, tests included, of the networks that have been trained for a while."""
    paces = {}
    for network in networks:
        pace = read_logs(log_files(folder.network(network.name).root)).seconds_with_tests
        if pace is not None:
            paces[network] = pace
    return paces


def pace_of(network: Network, paces: Mapping[Network, float]) -> float:
    """A network's pace: its own, or that of those with nearly as many frozen layers.

    Args:
        paces: of one network at least.
    """
    if network in paces:
        return paces[network]

    def distance(other: Network) -> int:
        return abs(other.frozen_count - network.frozen_count)

    nearest = min(map(distance, paces))
    return statistics.median(pace for each, pace in paces.items() if distance(each) == nearest)


def expected_pace(network: Network, paces: Mapping[Network, float], study: Study) -> float | None:
    """A network's pace by those of its run, or else by the study's file; None if neither says."""
    return pace_of(network, paces) if paces else study.seconds_per_iteration


def at_once(jobs: int, gpus: Sequence[str], *, on_gpu: bool) -> int:
    """How many of `jobs` networks add to the pace: one a GPU, or else one a core.

    Args:
        gpus: the devices that the user names.
        on_gpu: the study's solver names a GPU.
    """
    if gpus or on_gpu:
        return min(jobs, len(set(gpus)) or 1)
    return min(jobs, len(os.sched_getaffinity(0)))


def time_left(
    needs: Mapping[str, Sequence[str]], seconds: Mapping[str, float], slots: int
) -> float:
    """Seconds until networks are trained, several at once, each after its bases.

    Args:
        needs: as training.schedule.graph returns it.
        seconds: of each network that is left; the others are trained.
        slots: networks trained at once.
    """
    wanted = {name: [base for base in needs.get(name, ()) if base in seconds] for name in seconds}
    sorter = TopologicalSorter(wanted)
    sorter.prepare()
    ready: list[str] = []
    running: list[tuple[float, str]] = []
    now = 0.0
    while sorter.is_active():
        ready += sorter.get_ready()
        while ready and len(running) < slots:
            name = ready.pop(0)
            heapq.heappush(running, (now + seconds[name], name))
        now, name = heapq.heappop(running)
        sorter.done(name)
    return now
