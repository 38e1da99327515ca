"""Lines of progress as wide as a terminal: names whole, a bar and notes as far as they fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BAR_WIDTH, _LEAST_BAR = 24, 6
_GAP = 2


@dataclass(frozen=True)
class Row:
    """The progress of one step or network.

    Attributes:
        notes: the most important first; what does not fit is left out.
    """

    name: str
    done: int
    total: int
    notes: Sequence[str] = field(default_factory=tuple)


def rendered(rows: Sequence[Row], width: int) -> Table:
    """The rows below each other.

    Args:
        width: of the terminal, in characters.
    """
    names = max((cell_len(row.name) for row in rows), default=0)
    notes = [_fitting(row.notes, width - names - _GAP) for row in rows]
    left = width - names - max(map(cell_len, notes), default=0) - 2 * _GAP
    bar = min(_BAR_WIDTH, left) if left >= _LEAST_BAR else 0
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=names <= width, overflow="fold")
    if bar:
        grid.add_column(width=bar)
    if any(notes):
        grid.add_column(no_wrap=True, overflow="crop")
    for row, note in zip(rows, notes, strict=True):
        bars = [ProgressBar(total=row.total, completed=row.done, width=bar)] if bar else []
        grid.add_row(Text(row.name), *bars, *([Text(note)] if any(notes) else []))
    return grid


def _fitting(notes: Sequence[str], width: int) -> str:
    """As many of the notes as fit, in their order."""
    text = ""
    for note in notes:
        longer = f"{text}  {note}" if text else note
        if cell_len(longer) > width:
            break
        text = longer
    return text
