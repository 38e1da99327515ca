"""Networks as jobs of Slurm, submitted through submitit.

Networks that wait for the same bases become one array, so that 2,000 are a few calls of sbatch.
The ids of their jobs are kept in the run's folder: a later run attaches to those that Slurm still
has.  See `slurm_job` for what happens in a job.
"""

import time
from collections.abc import Sequence

from caffe_transfer.errors import CaffeTransferError, EngineError
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.training import slurm_queue, slurm_submit
from caffe_transfer.training.executor import (
    NOT_BEGUN,
    ExecutorOptions,
    JobResult,
    Outcome,
    begin,
    result_of,
    skipped,
)
from caffe_transfer.training.failure import noted_failure
from caffe_transfer.training.manifest import is_trained
from caffe_transfer.training.preflight import load_network
from caffe_transfer.training.slurm_job import Command
from caffe_transfer.training.slurm_queue import QueuedJob

LOOK_SECONDS = 10.0
_WAIT_SECONDS = 0.5
# Slurm forgets a job some minutes after its end, and one look may come before it knows a new one.
_LOOKS_UNKNOWN = 3
SILENT_SECONDS = 900.0  # a controller that is started anew is back by then
KILL_SECONDS = 120.0  # after `cancel`: then a job is ended that has not done so by itself


def make_executor(folder: RunFolder, options: ExecutorOptions) -> "SlurmExecutor":
    """The executor of Slurm.

    Args:
        folder: of the run; the nodes see it under the same path.
        options: `scheduler` has the long options of sbatch by name; "" for one without a value.

    Raises:
        BadInput: Slurm is not here, or an option is the run's own.
        EngineError: Slurm does not answer, or would refuse the jobs; with what it says.
    """
    slurm_queue.check_commands()
    return SlurmExecutor(folder, options)


class SlurmExecutor:
    """Jobs of Slurm; see `Executor` for the methods."""

    waits_for_bases = True

    def __init__(self, folder: RunFolder, options: ExecutorOptions) -> None:
        self._folder = RunFolder(folder.root.absolute())
        self._options = options
        self._sbatch = slurm_submit.sbatch_options(self._folder, options.scheduler)
        self._found = self._find()
        if not self._found:
            slurm_queue.check_options(slurm_submit.arguments(self._sbatch))
        self._waiting: dict[str, Sequence[str]] = {}  # to be submitted, with their bases
        self._jobs: dict[str, str] = {}  # the id of each network's job that has not ended
        self._after: dict[str, Sequence[str]] = {}
        self._results: list[JobResult] = []  # that are known already
        self._unknown: dict[str, int] = {}
        self._submitted = bool(self._found)  # whether Slurm has any of this run
        self._cancelled_at: float | None = None
        self._looked = self._heard = time.monotonic()
        self._array_size: int | None = None

    def room(self) -> bool:
        jobs = self._options.jobs
        return jobs is None or len(self._waiting) + len(self._jobs) < jobs

    def submit(self, name: str, after: Sequence[str]) -> None:
        if self._is_trained(name):
            self._results.append(JobResult(name, Outcome.DONE))
            return
        self._after[name] = after
        if job := self._found.pop(name, None):
            self._jobs[name] = job
            return
        if job := self._jobs.pop(name, None):
            slurm_queue.kill([job])
        begin(self._folder.network(name))
        self._waiting[name] = after

    def ended(self) -> list[JobResult]:
        self._submit_waiting()
        if not self._results:
            time.sleep(min(_WAIT_SECONDS, max(0.0, self._looked + LOOK_SECONDS - time.monotonic())))
        if self._jobs and time.monotonic() >= self._looked + LOOK_SECONDS:
            self._look()
            self._looked = time.monotonic()
        results, self._results = self._results, []
        return results

    def cancel(self) -> None:
        self._cancelled_at = time.monotonic()
        for name in self._waiting:
            self._results.append(JobResult(name, Outcome.STOPPED, NOT_BEGUN))
        self._waiting.clear()
        slurm_queue.cancel(self._jobs.values())

    def close(self) -> None:
        self._submit_waiting()
        refused = [each for each in self._results if each.outcome is Outcome.FAILED]
        if refused:  # nobody asks any more
            raise EngineError(
                f"{len(self._jobs)} networks are submitted, {len(refused)} are not: "
                f"{refused[0].reason}; run the same command again when some have ended"
            )

    def _is_trained(self, name: str) -> bool:
        folder = self._folder.network(name)
        try:
            return is_trained(folder, load_network(folder.root).solver.max_iter)
        except CaffeTransferError:  # its training says what is wrong
            return False

    def _find(self) -> dict[str, str]:
        """The networks' jobs of an earlier run that Slurm still has, by network."""
        known = slurm_queue.jobs_known(self._folder.root)
        kept = slurm_queue.read_ids(self._folder.slurm_jobs)
        return {
            name: job for name, job in kept.items() if job in known and not known[job].has_ended
        }

    def _submit_waiting(self) -> None:
        """Submit what waits for that, bases first.

        Raises:
            EngineError: Slurm refuses the first.
        """
        while self._waiting:
            groups: dict[tuple[str, ...], list[str]] = {}
            for name, after in list(self._waiting.items()):
                if any(base in self._waiting for base in after):
                    continue
                if lacking := self._lacking(after):
                    del self._waiting[name]
                    self._results.append(skipped(name, lacking))
                    continue
                jobs = (self._jobs[base] for base in after if base in self._jobs)
                groups.setdefault(tuple(jobs), []).append(name)
            for after_jobs, names in groups.items():
                for start in range(0, len(names), self._most()):
                    self._submit_array(names[start : start + self._most()], after_jobs)

    def _lacking(self, bases: Sequence[str]) -> str | None:
        """The first of the bases that is not trained, and has no job that would."""
        for base in bases:
            if base not in self._jobs and not self._is_trained(base):
                return base
        return None

    def _most(self) -> int:
        """The most networks of one array."""
        if self._array_size is None:
            self._array_size = slurm_queue.array_size()
        return self._array_size

    def _submit_array(self, names: Sequence[str], after: Sequence[str]) -> None:
        """Submit networks that wait for the same jobs.

        Raises:
            EngineError: Slurm refuses them, and has no others of this run.
        """
        for name in names:
            del self._waiting[name]
        try:
            ids = slurm_submit.submit(
                self._folder,
                [self._command(name) for name in names],
                self._sbatch | ({"dependency": f"afterok:{':'.join(after)}"} if after else {}),
            )
        except EngineError as error:
            if not self._submitted:
                raise
            self._results += [
                JobResult(name, Outcome.FAILED, str(error), may_pass=True) for name in names
            ]
        else:
            self._submitted = True
            self._jobs |= dict(zip(names, ids, strict=True))
            slurm_queue.write_ids(self._folder.slurm_jobs, self._found | self._jobs)

    def _command(self, name: str) -> Command:
        root = self._folder.network(name).root
        return Command((*self._options.command(root), "--requeue"))

    def _look(self) -> None:
        """Ask Slurm which jobs have ended, and judge each by its network's folder.

        Raises:
            EngineError: Slurm has not answered for long; its jobs go on.
        """
        try:
            self._end_late()
            known = slurm_queue.jobs_known(self._folder.root)
        except EngineError as error:
            if time.monotonic() < self._heard + SILENT_SECONDS:
                return
            raise EngineError(f"{error}; the jobs go on, and the same command finds them") from None
        self._heard = time.monotonic()
        for name, job in list(self._jobs.items()):
            if (queued := known.get(job)) is None:
                self._unknown[name] = self._unknown.get(name, 0) + 1
                if self._unknown[name] < _LOOKS_UNKNOWN and not self._is_trained(name):
                    continue
            elif not queued.has_ended:
                self._unknown.pop(name, None)
                continue
            self._end(name, job, queued)

    def _end(self, name: str, job: str, queued: QueuedJob | None) -> None:
        del self._jobs[name]
        self._unknown.pop(name, None)
        if queued is not None and queued.state == "PENDING":
            slurm_queue.kill([job])
        self._results.append(self._judged(name, job, queued))

    def _judged(self, name: str, job: str, queued: QueuedJob | None) -> JobResult:
        folder = self._folder.network(name)
        result = result_of(
            folder, self._said(folder, job, queued), stopped=self._cancelled_at is not None
        )
        # A job that waits for one that has failed is ended by Slurm.
        lacking = self._lacking(self._after[name]) if result.outcome is Outcome.FAILED else None
        return skipped(name, lacking) if lacking else result

    def _said(self, network: NetworkFolder, job: str, queued: QueuedJob | None) -> str:
        """Slurm's word about the end of a job, and the last of what a job that died has said."""
        said = f"Slurm's job {job} is {queued.state if queued else 'gone'}"
        if queued is not None and queued.reason != "None":
            said = f"{said}, {queued.reason}"
        if noted_failure(network):
            return said
        log = self._folder.slurm_log(job)
        try:
            lines = log.read_text(errors="replace").splitlines()
        except OSError:
            return (
                f"{said}, and wrote no {log}; see whether the nodes have {self._folder.root} under "
                "the same path"
            )
        return f"{said}; it said last: {lines[-1].strip() if lines else 'nothing'}; see {log}"

    def _end_late(self) -> None:
        late = self._cancelled_at is not None and (
            time.monotonic() >= self._cancelled_at + KILL_SECONDS
        )
        if late and self._jobs:
            slurm_queue.kill(self._jobs.values())
