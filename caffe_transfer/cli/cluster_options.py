"""The options of `run` that have a cluster train the networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from caffe_transfer.cli.engine_options import EngineOptions
from caffe_transfer.training.executor import LOCAL, RAY, SLURM, Cluster, ExecutorOptions


@dataclass(frozen=True)
class ClusterOptions:
    """The options that have a cluster train the networks."""

    on: str
    detach: bool
    scheduler_option: Sequence[str]

    def cluster(self, engine: EngineOptions, jobs: int | None) -> Cluster | None:
        """Where networks are trained; None for this machine.

        Raises:
            click.UsageError: options do not go together.
        """
        given = _keys_and_values(self.scheduler_option)
        if self.on == LOCAL:
            if self.detach or given:
                option = "--detach" if self.detach else "--scheduler-option"
                raise click.UsageError(
                    f"{option} is for schedulers; name one with --on {SLURM} or --on {RAY}."
                )
            return None
        if engine.gpu is not None:
            raise click.UsageError(
                f"--gpu names devices of this machine; {self.on} gives each network its own: leave "
                "it out, and ask for other devices with --scheduler-option."
            )
        options = ExecutorOptions(train=engine.train_arguments(), jobs=jobs, scheduler=given)
        return Cluster(on=self.on, reads_views=engine.reads_views, options=options)


on_option = click.option(
    "--on",
    type=click.Choice([LOCAL, SLURM, RAY]),
    default=LOCAL,
    help="Where networks are trained: this machine, or a cluster whose nodes see the run's folder "
    "under the same path.  With a cluster, --jobs is the most at once.  [default: local]",
)
scheduler_option = click.option(
    "--scheduler-option",
    metavar="KEY=VALUE",
    multiple=True,
    help="Given to the cluster's scheduler for each network, under its own name; may be given "
    "several times: partition=gpu, time=24:00:00.",
)
detach_option = click.option(
    "--detach",
    is_flag=True,
    help="With --on slurm: end when all networks are submitted; status shows how far they are.",
)


def _keys_and_values(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().lstrip("-")
        if not key or not equals:
            raise click.UsageError(
                f"--scheduler-option {text} is no KEY=VALUE, as in partition=gpu."
            )
        if key in found:
            raise click.UsageError(f"--scheduler-option gives {key} twice; leave one out.")
        found[key] = value
    return found
