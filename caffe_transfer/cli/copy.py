"""`copy`, whose modules import next to nothing: the copying itself takes a fraction of a second."""

from pathlib import Path

import click

from caffe_transfer.training.transplant import TargetNet, transplant

FILE = click.Path(path_type=Path)


@click.command("copy")
@click.argument("source", metavar="SOURCE.caffemodel", type=FILE)
@click.argument("out", metavar="OUT.caffemodel", type=FILE)
@click.option("--n", type=int, required=True, help="Copy weight layers 1..N.")
@click.option("--into", metavar="DIR", type=FILE, help="Network's folder whose net must fit.")
def copy_command(source: Path, out: Path, n: int, into: Path | None) -> None:
    """Copy the blobs of layers 1..n, byte for byte, into a new model.

    The file serves as `caffe train --weights`: layers that it lacks start fresh.

    \b
    Example:
      caffe-transfer copy half0A.caffemodel init.caffemodel --n 4
    """
    target = None if into is None else _target(into)
    done = transplant(source, out, n, target)
    click.echo(f"copied   {' '.join(done.copied)}")
    if done.fresh is not None:
        click.echo(f"fresh    {' '.join(done.fresh) or '-'}")
    click.echo(f"ignored  {' '.join(done.ignored) or '-'}")


def _target(folder: Path) -> TargetNet:
    from caffe_transfer.training.preflight import load_network

    return load_network(folder).target()
