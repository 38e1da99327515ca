"""`status`: how far every network is."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from caffe_transfer.cli.keys import END_OF_INPUT, key_pressed, single_keys
from caffe_transfer.cli.stopping import ended_by_ctrl_c
from caffe_transfer.cli.tables import Column, print_table, table
from caffe_transfer.cli.wrapping import echo
from caffe_transfer.training.status import State, Status, StatusReader, seconds_left
from caffe_transfer.units import duration

WATCH_SECONDS = 2.0
_COLOURS = {
    State.DONE: "green", State.TRAINING: "cyan", State.STOPPED: "yellow",
    State.FAILED: "red", State.BROKEN: "red",
}  # fmt: skip
_COLUMNS = (
    Column("network"),
    Column("state"),
    Column("iteration", right=True, drop=2),
    Column("loss", right=True, drop=4),
    Column("last top-1", right=True, drop=1),
    Column("left", right=True, drop=3),
)
# Where not all networks have a line on the screen, these come first.
_ORDER = (
    State.FAILED, State.BROKEN, State.TRAINING, State.STOPPED, State.WAITING, State.DONE,
)  # fmt: skip
_MOST_PROBLEMS = 5  # on the screen of --watch


@click.command("status")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until q or Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a network.")
def status_command(folder: Path, watch: bool, as_json: bool) -> None:
    """Show each network's state, accuracy and time left, and why one failed.

    "last top-1" is the accuracy in the last test; `report` gives the paper's metric, the mean of
    the ten highest.

    \b
    Example:
      caffe-transfer status demo
      caffe-transfer status demo --watch
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs; give one of them.")
    reader = StatusReader(folder)
    if watch:
        console = Console(highlight=False)
        if not console.is_terminal:
            raise click.UsageError("--watch needs a terminal; leave it out, or give --json.")
        watch_until(reader, console, ended=lambda: False)
        return
    rows = reader.read()
    if as_json:
        for row in rows:
            click.echo(json.dumps(row.as_dict()))
        return
    print_table(Console(highlight=False), _COLUMNS, [_cells(row) for row in rows])
    click.echo()
    for row in rows:
        if row.problem:
            echo(f"{row.name} {row.state}: {row.problem}")
    if restarted := [row.name for row in rows if row.data_restarts]:
        echo(f"resumed as Caffe resumes, with data from record 0: {', '.join(restarted)}")
    echo(summary(reader, rows))


def _cells(row: Status) -> list[Text]:
    return [
        Text(row.name),
        Text(row.state, style=_COLOURS.get(row.state, "")),
        Text(f"{row.iteration}/{row.max_iter}" if row.max_iter else "-"),
        Text("-" if row.loss is None else f"{row.loss:.3f}"),
        Text("-" if row.accuracy is None else f"{row.accuracy:.1%}"),
        Text("-" if row.seconds_left is None else duration(row.seconds_left)),
    ]


def summary(reader: StatusReader, rows: Sequence[Status]) -> str:
    """One line: networks by state, and the time left."""
    counts = Counter(row.state for row in rows)
    parts = [f"{counts[State.DONE]} of {len(rows)} networks are trained"]
    parts += [
        f"{counts[state]} {state}"
        for state in (State.TRAINING, State.WAITING, State.STOPPED, State.FAILED, State.BROKEN)
        if counts[state]
    ]
    seconds = seconds_left(reader, rows)
    if seconds:
        at_once = counts[State.TRAINING]
        several = f", {at_once} at once" if at_once > 1 else ""
        parts.append(f"about {duration(seconds)} left{several}")
    return ", ".join(parts)


def watch_until(reader: StatusReader, console: Console, ended: Callable[[], bool]) -> None:
    """Show the state on the whole screen until a key or a signal ends it.

    Args:
        console: a terminal.
        ended: whether there is nothing more to see.
    """
    rows = reader.read()
    with (
        ended_by_ctrl_c(),
        single_keys(),
        Live(
            _view(reader, rows, console), console=console, screen=True, auto_refresh=False
        ) as live,
    ):
        while not ended():
            live.update(_view(reader, rows, console), refresh=True)
            until = time.monotonic() + WATCH_SECONDS
            while (seconds := until - time.monotonic()) > 0:
                if key_pressed(seconds) in ("q", "Q", END_OF_INPUT):
                    return
            rows = reader.read()


def _view(reader: StatusReader, rows: Sequence[Status], console: Console) -> RenderableType:
    """The summary, what failed, and as many networks as fit the screen."""
    width, height = console.size
    problems = [row for row in rows if row.problem]
    notes = [
        Text(
            f"{row.name} {row.state}: {row.problem}", style="red", overflow="ellipsis", no_wrap=True
        )
        for row in problems[:_MOST_PROBLEMS]
    ]
    head = [
        Text(summary(reader, rows), style="bold"),
        Text(
            f"{time.strftime('%H:%M:%S')}  q quits  {reader.folder}",
            style="dim",
            overflow="ellipsis",
            no_wrap=True,
        ),
        Text(),
    ]
    space = (
        height - len(console.render_lines(Group(*head, *notes))) - 2
    )  # the heading, and the rest
    shown, rest = _fitting(rows, space)
    made, _ = table(_COLUMNS, [_cells(row) for row in shown], width)
    tail = [Text(rest, style="dim")] if rest else []
    return Group(*head, made, *tail, *notes)


def _fitting(rows: Sequence[Status], space: int) -> tuple[Sequence[Status], str]:
    """The networks that fit so many lines, in the given order, and what is said of the others."""
    if len(rows) <= space + 1:
        return rows, ""
    first = sorted(rows, key=lambda row: _ORDER.index(row.state))[: max(1, space)]
    names = {row.name for row in first}
    others = Counter(row.state for row in rows if row.name not in names)
    counts = ", ".join(f"{others[state]} {state}" for state in _ORDER if others[state])
    return [row for row in rows if row.name in names], f"and {counts}"
