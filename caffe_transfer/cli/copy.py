"""`copy`, which imports neither numpy nor protobuf: their import takes longer than the copy."""

from pathlib import Path

import click

from caffe_transfer.training.transplant import TargetNet, transplant

FILE = click.Path(path_type=Path)


@click.command("copy")
@click.argument("source", metavar="SOURCE.caffemodel", type=FILE)
@click.argument("out", metavar="OUT.caffemodel", type=FILE)
@click.option(
    "--n", type=int, required=True, help="Number of weight layers to copy, counted from the input."
)
@click.option(
    "--into",
    metavar="DIR",
    type=FILE,
    help="Folder of the network that will load the file; shapes must match.",
)
def copy_command(source: Path, out: Path, n: int, into: Path | None) -> None:
    """Copy the blobs of layers 1..n, byte for byte, into a new model.

    The model is for `caffe train --weights`, which draws the layers that it lacks afresh.  OUT
    ends in .caffemodel, or in .h5 for HDF5.

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
