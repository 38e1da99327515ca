"""`status`: how far every network is."""

from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from caffe_transfer.training.status import State, Status, status
from caffe_transfer.units import duration

_COLOURS = {
    State.DONE: "green", State.TRAINING: "cyan", State.STOPPED: "yellow", State.BROKEN: "red",
}  # fmt: skip


@click.command("status")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def status_command(folder: Path) -> None:
    """Show each network's state, accuracy and time left.

    \b
    Example:
      caffe-transfer status demo
    """
    _print_table(status(folder))


def _print_table(rows: Iterable[Status]) -> None:
    """Print the state of every network."""
    table = Table("network", "state", "iteration", "loss", "accuracy", "left", box=None)
    for row in rows:
        colour = _COLOURS.get(row.state, "default")
        table.add_row(
            row.name,
            f"[{colour}]{row.state}[/]",
            f"{row.iteration}/{row.max_iter}" if row.max_iter else "-",
            "-" if row.loss is None else f"{row.loss:.3f}",
            "-" if row.accuracy is None else f"{row.accuracy:.1%}",
            row.problem or ("-" if row.seconds_left is None else duration(row.seconds_left)),
        )
    Console(highlight=False).print(table)
