"""`train`: one network."""

from dataclasses import replace
from pathlib import Path

import click

from caffe_transfer.cli.engine_options import EngineOptions, engine_option, precision_option
from caffe_transfer.cli.options import grouped
from caffe_transfer.cli.show import Screen
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.cli.wrapping import echo
from caffe_transfer.studies.study import EVERY, LAST
from caffe_transfer.training.manifest import changed_while_trained
from caffe_transfer.training.slurm_job import cores, train_in_job
from caffe_transfer.training.train import train_network

FOLDER = click.Path(path_type=Path)


@click.command("train")
@click.argument("folder", metavar="DIR", type=FOLDER)
@engine_option
@precision_option
@click.option("--gpu", help="Device numbers as Caffe takes them: 0, or 0,1, or all.")
@click.option("--threads", type=click.IntRange(1), help="BLAS threads.  [default: all cores]")
@click.option(
    "--keep-snapshots",
    type=click.Choice([LAST, EVERY]),
    help="What stays: the last model, or all models with their solver states.  "
    "[default: as the run's study says, else last]",
)
@click.option(
    "--requeue",
    is_flag=True,
    help="In a job of Slurm: at SIGUSR1 or SIGTERM the job goes back to the queue, when a snapshot "
    "is written.",
)
@grouped(EngineOptions, "options")
def train_command(
    folder: Path, keep_snapshots: str | None, requeue: bool, options: EngineOptions
) -> None:
    """Train the network in a folder; run it again to resume.

    caffe-torch goes on as if it had not stopped; Caffe begins its data at record 0 again.

    In training, the newest two snapshots are kept; in the end, the last model without its solver
    state.

    \b
    Example:
      caffe-transfer train results/half0A
    Example: a job that goes on in the queue a minute before its time limit
      sbatch --requeue --signal=B:USR1@60 --wrap 'exec caffe-transfer train DIR --requeue'
    """
    if requeue:
        options = replace(options, threads=options.threads or cores())
    settings = replace(options.settings(jobs=1), keep_snapshots=keep_snapshots)
    with stop_on_signal(in_job=requeue) as stop, Screen(total=1) as screen:
        screen.say(f"training with {settings.engine.name}: {settings.engine.program}")
        manifest = (
            train_in_job(folder, settings, screen.network, stop, stop.limit)
            if requeue
            else train_network(folder, settings, screen.network, stop)
        )
    frozen = ", ".join(manifest.get("frozen", {}))
    echo(f"{folder} is trained: {next(iter(manifest['model']))}")
    for name in changed_while_trained(manifest):
        echo(f"{name} was another before the training was resumed, so that the results are of both")
    if frozen:
        echo(f"frozen layers are byte-identical to their source: {frozen}")
