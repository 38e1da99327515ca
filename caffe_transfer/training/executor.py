"""Where networks are trained: what this machine and the schedulers of clusters have in common.

`schedule.run_all` drives any executor.  A scheduler's module has one function,
`make_executor(folder: RunFolder, options: ExecutorOptions) -> Executor`, and imports its library
itself; MODULES names it.  A job runs `options.command(root)` and nothing else: all that a network
needs is in its folder, and whether it is trained its folder says, see `result_of`.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, cast

from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.failure import is_final, noted_failure
from caffe_transfer.training.preflight import load_network

LOCAL, SLURM, RAY = "local", "slurm", "ray"
MODULES = {SLURM: "caffe_transfer.training.slurm", RAY: "caffe_transfer.training.ray_tasks"}
_LIBRARIES = {SLURM: "submitit", RAY: "ray"}  # installed by the extra of the executor's name


NOT_BEGUN = "stopped before its turn"  # the reason of a network that was submitted in vain


class Outcome(StrEnum):
    """Outcome of a job."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


@dataclass(frozen=True)
class JobResult:
    """Result of one network's job.

    Attributes:
        reason: why the network is not trained.
        may_pass: a failed one may be trained when it is tried again; not where an input is wrong.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    may_pass: bool = field(default=False, compare=False)

    def as_dict(self) -> dict[str, str]:
        """Name, outcome and reason by name."""
        return {"name": self.name, "outcome": self.outcome.value, "reason": self.reason}


class Executor(Protocol):
    """Trains networks somewhere; called from one thread.

    Attributes:
        waits_for_bases: the scheduler itself holds a job until those that it needs are done, so
            that all can be submitted at once and this process may end.
    """

    waits_for_bases: bool

    def room(self) -> bool:
        """Whether one more network may be submitted now."""

    def submit(self, name: str, after: Sequence[str]) -> None:
        """Have a network trained.

        A network may be submitted again when its job has ended, and also before, when one that it
        waits for was: the new job then takes the old one's place.  If the scheduler still has a job
        for it that an earlier process submitted, that one is waited for, and none is added.

        Args:
            after: the networks whose jobs must end well before; () unless `waits_for_bases`.

        Raises:
            CaffeTransferError: the scheduler refuses it; with the scheduler's words.
        """

    def ended(self) -> list[JobResult]:
        """The results of those that have ended since the last call; waits at most half a second."""

    def cancel(self) -> None:
        """End all jobs; engines in training write a snapshot first.  `ended` tells the results."""

    def close(self) -> None:
        """Give back what this process holds; jobs that a scheduler has go on."""


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """What a run asks of a scheduler.

    Attributes:
        train: the options of `caffe-transfer train` in each job, as the user gave them to `run`:
            --engine, --precision, --threads.
        jobs: the most networks in training at once; None for as many as the scheduler takes.
        scheduler: the user's --scheduler-option KEY=VALUE, under the scheduler's own names and
            not looked at by anyone before it: {"partition": "gpu", "time": "24:00:00"}.  An
            executor refuses those that it does not know and lists those that it does.
    """

    train: Sequence[str] = ()
    jobs: int | None = None
    scheduler: Mapping[str, str] = field(default_factory=dict)

    def command(self, root: Path) -> list[str]:
        """The argv that trains the network of folder `root`, with this process's Python."""
        return [sys.executable, "-m", "caffe_transfer", *train_arguments(root, self.train)]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a run trains its networks, if not on this machine.

    Attributes:
        on: a key of MODULES.
        reads_views: the engine there reads views.
    """

    on: str
    reads_views: bool
    options: ExecutorOptions = field(default_factory=ExecutorOptions)


def train_arguments(root: Path, options: Sequence[str]) -> list[str]:
    """The arguments of `caffe-transfer` that train a network's folder, from any working folder."""
    return ["train", str(root.absolute()), *options]


def executor_for(name: str, folder: RunFolder, options: ExecutorOptions) -> Executor:
    """The executor of a scheduler.

    Args:
        name: a key of MODULES.
        folder: of the run, which must be seen under the same path wherever the jobs run.

    Raises:
        BadInput: its library is not installed, the scheduler cannot be reached, or it does not know
            an option; says what to do.
    """
    try:
        module = importlib.import_module(MODULES[name])
        return cast(Executor, module.make_executor(folder, options))
    except ModuleNotFoundError as error:
        if error.name != _LIBRARIES[name]:
            raise
        raise BadInput(
            f"--on {name} needs {error.name}; run pip install 'caffe-transfer[{name}]'"
        ) from error


def skipped(name: str, base: str) -> JobResult:
    """The result of a network whose base is not trained."""
    return JobResult(name, Outcome.SKIPPED, f"its base {base} is not trained")


def begin(folder: NetworkFolder) -> None:
    """Forget why a network failed earlier; an executor calls it before it submits the network."""
    with suppress(OSError):
        folder.failure.unlink()


def result_of(folder: NetworkFolder, said: str, *, stopped: bool = False) -> JobResult:
    """Judge a job that has ended by its network's folder.

    Args:
        said: the scheduler's word about the end, such as "NODE_FAIL".
        stopped: the job was ended on request.
    """
    name = folder.root.name
    try:
        loaded = load_network(folder.root)
    except CaffeTransferError as error:
        return JobResult(name, Outcome.FAILED, str(error))
    if manifests.is_trained(folder, loaded.solver.max_iter):
        return JobResult(name, Outcome.DONE)
    if failure := noted_failure(folder):
        reason = f"{failure} ({said})"
        return JobResult(name, Outcome.FAILED, reason, may_pass=not is_final(folder))
    if stopped:
        return JobResult(name, Outcome.STOPPED, f"stopped ({said})")
    return JobResult(name, Outcome.FAILED, f"its job ended: {said}", may_pass=True)
