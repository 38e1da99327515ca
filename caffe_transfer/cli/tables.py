"""Tables that are read in a terminal and taken apart in a pipe."""

from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

_ANY_WIDTH = 1 << 16


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str], fold: str
) -> None:
    """Print a table; nothing of it is ever left out.

    Args:
        left: the columns of text; the others are of numbers, and are set to the right.
        fold: the column that goes on in another line where a terminal is too narrow.  In a pipe
            every row is one line, however long.
    """
    width = Console().width
    for gap in (2, 1):  # columns move together before one of them is folded
        table = _table(columns, rows, left, fold, gap)
        console = Console(highlight=False, markup=False, emoji=False, width=_ANY_WIDTH)
        wanted = console.measure(table).maximum
        if wanted <= width:
            break
    console.width = width if console.is_terminal else wanted
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str], fold: str, gap: int
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for name in columns:
        table.add_column(
            name, justify="left" if name in left else "right", no_wrap=name != fold, overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    return table
