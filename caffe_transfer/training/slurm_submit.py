"""Jobs given to Slurm through submitit: options of sbatch, and one array for many networks."""

import shlex
import sys
from collections.abc import Collection, Mapping

import submitit
from submitit.core.utils import FailedJobError

from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.files import writing
from caffe_transfer.paths import RunFolder
from caffe_transfer.training import slurm_queue
from caffe_transfer.training.slurm_job import Command

# A user may change these.
_DEFAULTS = {"signal": "B:USR1@60"}
# The run's own: with others, jobs would not be found again, or not go on.
_OURS: dict[str, str | bool] = {
    "requeue": True,
    "kill-on-invalid-dep": "yes",
    "open-mode": "append",
}
_NOT_THE_USERS = frozenset(
    {*_OURS, "array", "chdir", "dependency", "error", "no-requeue", "output", "parsable", "wrap"}
)
# Runs a program to which the signals of limits come only when it listens to them: a warning may
# come when the job has just begun.
_WITH_SIGNALS_HELD = (
    "import os, signal, sys; "
    "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1, signal.SIGTERM)); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def sbatch_options(folder: RunFolder, asked: Mapping[str, str]) -> dict[str, str | bool]:
    """The options of sbatch, by long name; True for one without a value.

    Raises:
        BadInput: the user asks for one that is the run's own.
    """
    options: dict[str, str | bool] = {"job-name": folder.root.name, **_DEFAULTS}
    for key, value in asked.items():
        name = key.removeprefix("--").replace("_", "-")
        if name in _NOT_THE_USERS:
            raise BadInput(f"the option {key} of sbatch is set by the run itself; leave it out")
        options[name] = value or True
    return options | _OURS | {"chdir": str(folder.root)}


def arguments(options: Mapping[str, str | bool]) -> list[str]:
    """The same as arguments of a command line."""
    return [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()
    ]


def submit(
    folder: RunFolder, commands: Collection[Command], options: Mapping[str, str | bool]
) -> list[str]:
    """Submit one job, or an array of several; returns their ids.

    Raises:
        EngineError: Slurm refuses them; with what it says.
    """
    with writing(folder.slurm):
        folder.slurm.mkdir(parents=True, exist_ok=True)
    # The batch script becomes the training itself, which so gets the job's signals.
    python = shlex.join([sys.executable, "-I", "-S", "-c", _WITH_SIGNALS_HELD, sys.executable])
    executor = submitit.SlurmExecutor(folder.slurm, python=f"exec {python}")
    executor.update_parameters(
        use_srun=False,
        setup=["trap '' USR1"],
        stderr_to_stdout=True,
        array_parallelism=len(commands),
        time=None,  # submitit's own is five minutes; without one, the partition's holds
        wckey=None,
        additional_parameters=dict(options),
    )
    try:
        jobs = executor.submit_array(list(commands))
    except FailedJobError as error:
        raise EngineError(slurm_queue.what_it_says("sbatch", str(error))) from error
    return [job.job_id for job in jobs]
