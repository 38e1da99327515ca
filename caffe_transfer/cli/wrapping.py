"""Lines of text for a terminal; imports nothing that `copy` would have to wait for."""

import shutil
import textwrap

import click

from caffe_transfer.errors import printable


def echo(text: object) -> None:
    """Print a text, in which no name from a file can move the cursor or change colors."""
    click.echo(printable(str(text)))


def echo_wrapped(label: str, text: str, widest: int | None = None) -> None:
    """Print a label and a text behind it, whose further lines stand below its first one.

    Args:
        widest: characters of a line that is easy to read, where the terminal has more.
    """
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(
        text,
        width=width if widest is None else min(width, widest),
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
    echo("\n".join(lines))
