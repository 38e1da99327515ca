"""`copy`, which imports neither numpy nor protobuf: their import takes longer than the copy."""

from pathlib import Path

import click

from caffe_transfer.cli.options import CUT
from caffe_transfer.cli.wrapping import echo_wrapped
from caffe_transfer.training.transplant import Transplant, transplant, transplant_into

FILE = click.Path(path_type=Path)


@click.command("copy")
@click.argument("source", metavar="SOURCE.caffemodel", type=FILE)
@click.argument("out", metavar="OUT.caffemodel", type=FILE)
@click.option(
    "--n",
    type=CUT,
    required=True,
    help="How many weight layers to copy, or the last one's name; with --into a cut of its net.",
)
@click.option(
    "--into",
    metavar="DIR",
    type=FILE,
    help="Folder of the network that will load the file; shapes must match.",
)
def copy_command(source: Path, out: Path, n: int | str, into: Path | None) -> None:
    """Copy the blobs of the first layers, byte for byte, into a new model.

    The model is for `caffe train --weights`, which draws the layers that it lacks afresh.  OUT
    ends in .caffemodel, or in .h5 for HDF5.

    \b
    Example:
      caffe-transfer copy half0A.caffemodel init.caffemodel --n 4
    """
    done = transplant(source, out, n) if into is None else _into(into, source, out, n)
    echo_wrapped("copied   ", " ".join(done.copied))
    if done.fresh is not None:
        echo_wrapped("fresh    ", " ".join(done.fresh) or "-")
    echo_wrapped("ignored  ", " ".join(done.ignored) or "-")


def _into(folder: Path, source: Path, out: Path, n: int | str) -> Transplant:
    from caffe_transfer.training.preflight import load_network

    loaded = load_network(folder)
    return transplant_into(loaded.target(loaded.below(n)), source, out)
