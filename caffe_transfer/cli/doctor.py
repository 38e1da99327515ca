"""`doctor`: shows what is installed."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caffe_transfer.doctor import examine
from caffe_transfer.errors import printable


@click.command("doctor")
def doctor_command() -> int:
    """Show what is installed, what is missing, and how to get it.

    The exit status is 2 if something is missing that training with Caffe needs.

    \b
    Example:
      caffe-transfer doctor
    """
    findings = list(examine())
    table = Table(box=None, show_header=False)
    for each in findings:
        mark = (
            "[green]ok[/]"
            if each.found
            else ("[red]missing[/]" if each.needed else "[yellow]none[/]")
        )
        table.add_row(mark, each.name, Text(printable(each.found or each.remedy)))
    Console(highlight=False).print(table)
    return 2 if any(each.needed and not each.found for each in findings) else 0
