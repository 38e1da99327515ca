"""A second `run` in a folder where another works: it shows that run's progress."""

import time
from pathlib import Path

import click
from rich.console import Console

from caffe_transfer.cli.show import LineClock
from caffe_transfer.cli.status import summary, watch_until
from caffe_transfer.cli.stopping import ended_by_ctrl_c
from caffe_transfer.errors import EngineError, Incomplete
from caffe_transfer.lock import is_held
from caffe_transfer.paths import RunFolder
from caffe_transfer.preparation import continued
from caffe_transfer.studies.study import Study
from caffe_transfer.training.status import State, StatusReader

_LOOK_SECONDS = 1.0


def attach(study: Study, out: Path) -> None:
    """Show the progress of the run that works in a folder until it ends; Ctrl-C leaves it.

    Raises:
        BadInput: it runs another study.
        EngineError: it has ended before all networks were trained.
    """
    folder, reader = RunFolder(out), StatusReader(out)
    continued(study, folder)
    click.echo(f"another run works in {out}; this is its progress, and Ctrl-C leaves it", err=True)
    with ended_by_ctrl_c():
        _follow(reader, folder)
    if is_held(folder.lock):
        click.echo(f"the run in {out} goes on; the same command shows it again", err=True)
        return
    try:
        rows = reader.read()
    except Incomplete:
        rows = []
    told = summary(reader, rows) if rows else "no network is written"
    if {row.state for row in rows} != {State.DONE}:
        raise EngineError(
            f"the other run in {out} has ended: {told}; run the same command again to go on"
        )
    click.echo(f"the other run in {out} has ended: {told}", err=True)


def _follow(reader: StatusReader, folder: RunFolder) -> None:
    """Show what there is to see, on a terminal or by a line now and then, until the run ends."""
    console, clock = Console(highlight=False), LineClock()
    is_told = False
    while is_held(folder.lock):
        try:
            rows = reader.read()
        except Incomplete:
            if not is_told:
                click.echo("it prepares images and networks' folders", err=True)
            is_told = True
        else:
            if console.is_terminal:
                watch_until(reader, console, ended=lambda: not is_held(folder.lock))
                return
            if clock.is_due():
                click.echo(summary(reader, rows), err=True)
        time.sleep(_LOOK_SECONDS)
