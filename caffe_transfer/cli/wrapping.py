"""Long lines, wrapped at words; imports nothing that `copy` would have to wait for."""

import shutil
import textwrap

import click


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
    click.echo("\n".join(lines))
