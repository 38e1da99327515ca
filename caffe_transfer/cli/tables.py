"""Tables whose cells are never cut: what does not fit is left out by the column, or folded."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caffe_transfer.errors import printable

_GAP = 2  # characters between columns


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        right: its cells are aligned to the right.
        drop: on a narrow terminal the column with the highest number is left out first; 0 never.
        fold: its cells go on in another line where a terminal is too narrow for the rest.
    """

    name: str
    right: bool = False
    drop: int = 0
    fold: bool = False


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None
) -> tuple[list[int], int]:
    """The indices of the columns that fit a width in characters, and the width that they take.

    Args:
        width: None for any.
    """
    widths = [
        max([cell_len(column.name), *(cell_len(line) for row in rows for line in _lines(row[i]))])
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
    too_wide = width is not None and taken > width
    gap = _GAP - 1 if too_wide else _GAP  # columns move together before one of them is folded
    taken -= (_GAP - gap) * (len(shown) - 1)
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for i in shown:
        column = columns[i]
        made.add_column(
            column.name, justify="right" if column.right else "left", no_wrap=not column.fold,
            overflow="fold",
        )  # fmt: skip
    for row in rows:
        made.add_row(*(row[i] for i in shown))
    if width is not None and any(columns[i].fold for i in shown):
        taken = min(taken, width)
    return made, taken


def _lines(cell: Text) -> list[str]:
    return cell.plain.splitlines()


def print_table(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]
) -> None:
    """Print a table: on a terminal the columns that fit it, elsewhere all of them."""
    cells = [
        [Text(printable(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows
    ]
    width = console.width
    made, taken = table(columns, cells, width if console.is_terminal else None)
    # A table that is still wider than the terminal is a lesser evil than two names that look alike.
    console.width = max(width, taken)
    with console.capture() as printed:
        console.print(made, crop=False)
    console.width = width
    for line in printed.get().splitlines():
        console.out(line.rstrip(), highlight=False)
