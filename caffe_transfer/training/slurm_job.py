"""Inside a job of Slurm: what it runs, and how it puts itself back in the queue."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_transfer.errors import BadInput, Busy, CaffeTransferError, Interrupted
from caffe_transfer.training.slurm_queue import call
from caffe_transfer.training.train import OnProgress, Settings, train_network

BUSY_RETRY_SECONDS = 5.0
# `scancel`, `scontrol requeue`, and a time limit whose warning was missed: Slurm ends the job.
_ENDED_BY_SLURM = "COMPLETING"


@dataclass(frozen=True)
class Command:
    """What submitit calls in a job: it becomes the command, which so gets the job's signals."""

    argv: tuple[str, ...]

    def __call__(self) -> None:
        os.execv(self.argv[0], self.argv)


def job_id(environment: Mapping[str, str] = os.environ) -> str:
    """The id of the job of Slurm that this process runs in.

    Raises:
        BadInput: it runs in none.
    """
    try:
        return environment["SLURM_JOB_ID"]
    except KeyError:
        raise BadInput(
            "--requeue is for a job of Slurm, and SLURM_JOB_ID is not set here; leave it out"
        ) from None


def cores(environment: Mapping[str, str] = os.environ) -> int | None:
    """The processor cores of the job; None if Slurm does not say."""
    number = environment.get("SLURM_CPUS_ON_NODE", "")
    return int(number) if number.isdigit() else None


def train_in_job(
    root: Path,
    settings: Settings,
    report: OnProgress,
    stop: threading.Event,
    limit: threading.Event,
) -> dict[str, Any]:
    """Train a network in a job, which goes back to the queue when its time is over before.

    A folder that another process trains, such as a job on a node that was given up, is waited for.

    Args:
        stop: set it when the job has to end; the engine then writes a snapshot.
        limit: set it before `stop` if the network is to be trained further by the same job.

    Returns:
        the manifest.

    Raises:
        Interrupted: `stop` was set; says whether the job is in the queue again.
        EngineError: Slurm refuses to put the job back.
        CaffeTransferError: as `train_network` does, but Busy.
    """
    job = job_id()
    while True:
        try:
            return train_network(root, settings, report, stop)
        except Busy as error:
            if stop.wait(BUSY_RETRY_SECONDS):
                raise _ended(job, error, limit) from error
        except Interrupted as error:
            raise _ended(job, error, limit) from error


def _ended(job: str, error: CaffeTransferError, limit: threading.Event) -> Interrupted:
    """The error that ends a job; before, it goes back to the queue if its time was over."""
    if not limit.is_set() or _state(job) == _ENDED_BY_SLURM:
        return Interrupted(str(error))
    call("scontrol", "requeue", job)
    return Interrupted(f"{error}; job {job} is in the queue again")


def _state(job: str) -> str:
    return call("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip()
