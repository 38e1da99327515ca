"""Writes docs/cli.md from the real --help texts; `--check` only says whether it is stale."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from caffe_transfer.cli import cli

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# The commands

Written by `make docs` from the programs' own help texts.

Exit status: 0 done; 1 compared or verified and found different; 2 cannot be done as asked, one
sentence on standard error; 130 interrupted, state kept; 141 nobody reads the output any more, as
after `| head`.
"""


def page() -> str:
    """The whole page."""
    sections = (
        f"\n## {path}\n\n```text\n{context.get_help()}\n```\n"
        for path, context in _commands(cli, "caffe-transfer", None)
    )
    return HEAD + "".join(sections)


def _commands(
    command: click.Command, path: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Context]]:
    context = click.Context(
        command, info_name=path.split()[-1], parent=parent, max_content_width=96,
        help_option_names=cli.context_settings["help_option_names"],
    )  # fmt: skip
    context.terminal_width = 96
    yield path, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, f"{path} {name}", context)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.exists() and PAGE.read_text() == page() else "docs/cli.md is stale")
    PAGE.write_text(page())
