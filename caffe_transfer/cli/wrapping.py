"""Long lines, wrapped at words; imports nothing that `copy` would have to wait for."""

import shutil
import textwrap

import click


def echo_wrapped(label: str, text: str) -> None:
    """Print a label and a text behind it, whose further lines stand below its first one."""
    lines = textwrap.wrap(
        text,
        width=shutil.get_terminal_size().columns,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
    click.echo("\n".join(lines))
