"""Slurm's commands: what is in the queue, what Slurm would refuse, ends of jobs."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.files import atomic_text

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol")
TIMEOUT_SECONDS = 180.0  # Slurm's commands themselves try for a while to reach the controller
_IDS_AT_ONCE = 500  # in one command line
# States that a job does not leave; all others may still come to a training.
_ENDS = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
# Reasons for which a job would wait until someone looks.
_HELD = frozenset({"launch_failed_requeued_held", "JobHoldMaxRequeue", "DependencyNeverSatisfied"})
_SPEAKER = re.compile(r"^(sbatch|squeue|scancel|scontrol)?:? *((error|fatal): )?")


class SaidNothing(EngineError):
    """A command of Slurm failed and did not say why."""


@dataclass(frozen=True)
class QueuedJob:
    """A job that Slurm knows.

    Attributes:
        state: Slurm's word: PENDING, RUNNING, FAILED...
        reason: why it waits or failed; None is said "None".
        folder: its working folder.
    """

    state: str
    reason: str
    folder: Path

    @property
    def has_ended(self) -> bool:
        """Whether it will not run any more."""
        return self.state in _ENDS or (self.state == "PENDING" and self.reason in _HELD)


def check_commands() -> None:
    """Ask whether Slurm's commands are here.

    Raises:
        BadInput: they are not.
    """
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise BadInput(
                f"there is no {program} here; run this where jobs are submitted to Slurm, such as "
                "its login node"
            )


def check_options(options: Sequence[str]) -> None:
    """Ask Slurm whether it would take a job with these options of sbatch.

    Raises:
        EngineError: it would not; with what it says.
    """
    try:
        call("sbatch", "--test-only", *options, "--wrap=true")
    except EngineError as error:
        raise EngineError(
            f"{error}; see --scheduler-option, which asks for other options"
        ) from None


def call(*argv: str) -> str:
    """What a command of Slurm prints.

    Raises:
        EngineError: it fails; with what it says.
    """
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=TIMEOUT_SECONDS, check=False, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise EngineError(f"cannot start {argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{argv[0]} has said nothing for {TIMEOUT_SECONDS:.0f} seconds; see whether Slurm's "
            "controller runs: scontrol ping"
        ) from error
    if done.returncode:
        said = done.stderr or done.stdout
        raise (EngineError if said.strip() else SaidNothing)(what_it_says(argv[0], said))
    return done.stdout


def what_it_says(program: str, said: str) -> str:
    """One sentence of what a command of Slurm printed when it failed."""
    lines = [_SPEAKER.sub("", line.strip()) for line in said.splitlines()]
    words = "; ".join(dict.fromkeys(line.rstrip(".") for line in lines if line))
    return f"Slurm's {program} fails: {words or 'it does not say why'}"


def jobs_known(folder: Path) -> dict[str, QueuedJob]:
    """The user's jobs of one working folder, by id; those that ended a while ago are forgotten.

    Raises:
        EngineError: Slurm does not answer.
    """
    printed = call(
        "squeue", f"--user={os.getuid()}", "--noheader", "--array", "--states=all",
        "--format=%i|%T|%r|%Z",
    )  # fmt: skip
    jobs = {}
    for line in printed.splitlines():
        job, state, reason, where = line.split("|", 3)
        jobs[job] = QueuedJob(state, reason, Path(where))
    return {job: known for job, known in jobs.items() if known.folder == folder}


def cancel(jobs: Collection[str]) -> None:
    """End jobs: those in training write a snapshot first, and so have no time limit for it.

    Raises:
        EngineError: Slurm does not answer.
    """
    for how in (["--state=PENDING"], ["--batch", "--signal=INT"]):
        _scancel(how, jobs)


def kill(jobs: Collection[str]) -> None:
    """End jobs at once, or as soon as their limit for that is over.

    Raises:
        EngineError: Slurm does not answer.
    """
    _scancel([], jobs)


def _scancel(options: Sequence[str], jobs: Collection[str]) -> None:
    for some in _in_parts(jobs):
        with suppress(SaidNothing):  # some had ended by themselves
            call("scancel", "--quiet", *options, *some)


def array_size() -> int:
    """The most jobs of an array."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.M)
    return max(1, int(found[1])) if found else 1


def read_ids(file: Path) -> dict[str, str]:
    """The ids of networks' jobs, by network, as `write_ids` has kept them."""
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(job) for name, job in kept.items()} if isinstance(kept, dict) else {}


def write_ids(file: Path, ids: Mapping[str, str]) -> None:
    """Keep the ids of networks' jobs for a later run.

    Raises:
        BadInput: the folder is not writable.
    """
    atomic_text(file, json.dumps(ids, indent=1) + "\n")


def _in_parts(jobs: Collection[str]) -> Iterator[Sequence[str]]:
    listed = list(jobs)
    for start in range(0, len(listed), _IDS_AT_ONCE):
        yield listed[start : start + _IDS_AT_ONCE]
