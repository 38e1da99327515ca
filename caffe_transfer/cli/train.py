"""`train`: one network."""

from pathlib import Path

import click

from caffe_transfer.cli.engine_options import EngineOptions, engine_option, precision_option
from caffe_transfer.cli.options import grouped
from caffe_transfer.cli.show import Screen
from caffe_transfer.training.train import stop_on_signal, train_network

FOLDER = click.Path(path_type=Path)


@click.command("train")
@click.argument("folder", metavar="DIR", type=FOLDER)
@engine_option
@precision_option
@click.option("--gpu", help="Device numbers as Caffe takes them: 0, or 0,1, or all.")
@click.option("--threads", type=click.IntRange(1), help="BLAS threads.  [default: all cores]")
@grouped(EngineOptions, "options")
def train_command(folder: Path, options: EngineOptions) -> None:
    """Train the network in a folder; run it again to resume.

    \b
    Example:
      caffe-transfer train results/half0A
    """
    settings = options.settings(jobs=1)
    with stop_on_signal() as stop, Screen(total=1) as screen:
        screen.say(f"training with {settings.engine.name}: {settings.engine.program}")
        manifest = train_network(folder, settings, screen.network, stop)
    frozen = ", ".join(manifest.get("frozen", {}))
    click.echo(f"{folder} is trained: {next(iter(manifest['model']))}")
    if frozen:
        click.echo(f"frozen layers are byte-identical to their source: {frozen}")
