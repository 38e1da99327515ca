"""The state of each network of a run, read from its files."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from caffe_transfer.errors import CaffeTransferError, Incomplete
from caffe_transfer.lock import is_held
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.report.logs import NetworkLog, log_files, read_logs
from caffe_transfer.report.manifests import data_restarts
from caffe_transfer.studies.load import load_study
from caffe_transfer.training import manifest
from caffe_transfer.training.failure import noted_failure
from caffe_transfer.training.preflight import load_network
from caffe_transfer.training.remaining import expected_pace, time_left
from caffe_transfer.training.schedule import graph


class State(StrEnum):
    """State of a network's training."""

    WAITING = "waiting"
    TRAINING = "training"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"
    BROKEN = "broken"


@dataclass(frozen=True)
class Status:
    """Status of one network; None where something is unknown.

    Attributes:
        loss: the last training loss.
        accuracy: the last validation accuracy, 0 to 1.
        seconds_left: estimated from the log, for networks in training.
        problem: why a failed network failed, or a broken one cannot be trained.
        data_restarts: iterations at which it was resumed as Caffe resumes, with data from record 0.
    """

    name: str
    state: State
    iteration: int = 0
    max_iter: int = 0
    loss: float | None = None
    accuracy: float | None = None
    seconds_left: float | None = None
    problem: str = ""
    data_restarts: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name; a loss that is not finite, which JSON does not know, is None."""
        finite = self.loss is not None and math.isfinite(self.loss)
        return asdict(self) | {
            "state": self.state.value,
            "loss": self.loss if finite else None,
            "data_restarts": list(self.data_restarts),
        }


def networks_in(folder: Path) -> list[Path]:
    """Return the networks' folders in natural order.

    Args:
        folder: a run's folder, a folder of networks, or one network's folder.

    Raises:
        Incomplete: there are no networks.
    """
    results = RunFolder(folder).results
    root = results if results.is_dir() else folder
    solvers = NetworkFolder.names().solver
    found = [solver.parent for solver in root.glob(f"*/{solvers}")] if root.is_dir() else []
    if (folder / solvers).is_file():
        found = [folder]
    if not found:
        raise Incomplete(f"there are no networks in {folder}; write some with generate or run")
    return sorted(found, key=lambda path: _natural(path.name))


class StatusReader:
    """Reads the status of a run's networks again and again; a log that has not grown is read once.

    Attributes:
        folder: a run's folder, a folder of networks, or one network's folder.
        paces: seconds an iteration, tests included, of the networks that have been trained.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paces: dict[str, float] = {}
        self._logs: dict[Path, tuple[object, NetworkLog]] = {}

    def read(self) -> list[Status]:
        """The status of each network now.

        Raises:
            Incomplete: there are no networks.
        """
        return [network_status(root, self._log) for root in networks_in(self.folder)]

    def _log(self, root: Path) -> NetworkLog:
        files = log_files(root)
        state = [(path, path.stat().st_size) for path in files]
        known = self._logs.get(root)
        if known is None or known[0] != state:
            known = self._logs[root] = state, read_logs(files)
            if known[1].seconds_with_tests is not None:
                self.paces[root.name] = known[1].seconds_with_tests
        return known[1]


def seconds_left(reader: StatusReader, rows: Sequence[Status]) -> float | None:
    """Time until all networks of a study's run are trained, with as many at once as are now.

    None where the folder is no run's, or no pace is known.
    """
    file = RunFolder(reader.folder).study
    if not file.is_file():
        return None
    study = load_study(str(file))
    networks = {network.name: network for network in study.networks}
    paces = {networks[name]: pace for name, pace in reader.paces.items() if name in networks}
    if not paces and study.seconds_per_iteration is None:
        return None
    reached = {row.name: row.iteration for row in rows if row.state is not State.FAILED}
    seconds = {}
    for name, network in networks.items():
        left = study.solver_of(network).max_iter - reached.get(name, 0)
        pace = expected_pace(network, paces, study)
        if left > 0 and pace is not None:
            seconds[name] = left * pace
    at_once = sum(row.state is State.TRAINING for row in rows)
    return time_left(graph(study), seconds, max(1, at_once))


def _read(root: Path) -> NetworkLog:
    return read_logs(log_files(root))


def network_status(root: Path, log_of: Callable[[Path], NetworkLog] = _read) -> Status:
    """Return the status of the network in folder `root`.

    Args:
        log_of: reads the logs of a network's folder.
    """
    try:
        loaded = load_network(root)
        record = manifest.read(loaded.folder.manifest)
        done = manifest.is_finished(record, loaded.solver.max_iter)
        log = log_of(root)
    except CaffeTransferError as error:
        return Status(root.name, State.BROKEN, problem=str(error))
    iteration = int(log.train_loss.iterations[-1]) if len(log.train_loss.iterations) else 0
    problem = ""
    state = State.STOPPED if log_files(root) else State.WAITING
    if is_held(loaded.folder.lock):
        state = State.TRAINING
    elif failure := noted_failure(loaded.folder):
        state, problem = State.FAILED, failure
    elif done:
        state, iteration = State.DONE, loaded.solver.max_iter
    pace = log.seconds_per_iteration
    left = loaded.solver.max_iter - iteration
    return Status(
        root.name,
        state,
        iteration,
        loaded.solver.max_iter,
        _last(log.train_loss.values),
        _last(log.accuracy.values),
        pace * left if state is State.TRAINING and pace is not None else None,
        problem,
        data_restarts(record),
    )


def _last(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return float(numbers[-1]) if numbers else None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
