"""Tables whose cells are never cut: what does not fit is left out by the column."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2  # characters between columns


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        right: its cells are aligned to the right.
        drop: on a narrow terminal the column with the highest number is left out first; 0 never.
    """

    name: str
    right: bool = False
    drop: int = 0


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None
) -> tuple[list[int], int]:
    """The indices of the columns that fit a width in characters, and the width that they take.

    Args:
        width: None for any.
    """
    widths = [
        max([cell_len(column.name), *(row[i].cell_len for row in rows)])
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))

    def taken() -> int:
        return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1)

    while width is not None and taken() > width:
        least = max(shown, key=lambda i: columns[i].drop)
        if columns[least].drop == 0:
            break
        shown.remove(least)
    return shown, taken()


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None
) -> tuple[Table, int]:
    """A table of the columns that fit, and the width that it takes, which may be more.

    Args:
        width: of the terminal; None for a table that may have any width.
    """
    shown, taken = fitted(columns, rows, width)
    made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for i in shown:
        made.add_column(
            columns[i].name, justify="right" if columns[i].right else "left", no_wrap=True
        )
    for row in rows:
        made.add_row(*(row[i] for i in shown))
    return made, taken


def print_table(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]
) -> None:
    """Print a table: on a terminal the columns that fit it, elsewhere all of them."""
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    width = console.width
    made, taken = table(columns, cells, width if console.is_terminal else None)
    # A table that is still wider than the terminal is a lesser evil than two names that look alike.
    console.width = max(width, taken)
    console.print(made, crop=False)
    console.width = width
