"""Tables that fit a terminal without cutting a cell."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from caffe_transfer.cli.tables import Column, fitted, print_table

COLUMNS = (
    Column("network"),
    Column("trained on", drop=1),
    Column("iterations", right=True, drop=2),
)
ROWS = [(f"transfernatmanAB_1_{n}", "halfnatmanB_train", "450000") for n in range(1, 8)]


def printed(width: int, *, terminal: bool) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    print_table(console, COLUMNS, ROWS)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("width", "terminal", "heading"),
    [
        (80, True, ["network", "trained", "on", "iterations"]),
        (48, True, ["network", "trained", "on"]),
        (30, True, ["network"]),
        (10, True, ["network"]),
        (10, False, ["network", "trained", "on", "iterations"]),
    ],
)
def test_names_are_whole_at_any_width(width: int, terminal: bool, heading: list[str]) -> None:
    first, *rows = printed(width, terminal=terminal)
    assert first.split() == heading
    assert [row.split()[0] for row in rows] == [row[0] for row in ROWS]
    if width > 10:
        assert max(map(len, [first, *rows])) <= width


@given(
    st.lists(st.tuples(*[st.text(st.characters(codec="ascii"), max_size=30)] * 3), max_size=4),
    st.integers(1, 120),
)
def test_what_is_shown_fits_or_cannot_be_left_out(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    cells = [[Text(cell) for cell in row] for row in rows]
    shown, taken = fitted(COLUMNS, cells, width)
    assert 0 in shown
    assert taken <= width or shown == [0]
    assert fitted(COLUMNS, cells, None)[0] == [0, 1, 2]
