"""`cuts`."""

import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caffe_transfer.cli.options import ImageShape
from caffe_transfer.errors import printable
from caffe_transfer.nets.cuts import CutSize, measured_cuts
from caffe_transfer.nets.find import find_net
from caffe_transfer.units import shape_text


@click.command("cuts")
@click.argument("net", metavar="NET")
@click.option("--shape", type=ImageShape(), help="Of the images, where NET does not say it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a cut.")
def cuts_command(net: str, shape: tuple[int, ...] | None, as_json: bool) -> None:
    """Show where a net can be cut into copied and fresh layers.

    NET is a prototxt of any age, for training or for deployment, or the name of a built-in net. A
    cut is a blob that every path from the images to the main loss passes: never inside a block.
    Parameters and shares of parameters and multiply-adds are those of all layers below a cut.

    \b
    Example:
      caffe-transfer cuts ResNet-50-deploy.prototxt
    """
    found = measured_cuts(find_net(net), shape)
    if as_json:
        for each in found:
            click.echo(json.dumps(each.as_dict()))
        return
    table = _table(found)
    console = Console(highlight=False)
    # Names are never cut: a table wider than the terminal is the lesser evil.
    console.width = max(console.width, console.measure(table).minimum + 1)
    console.print(table)


def _table(found: Sequence[CutSize]) -> Table:
    """A row a cut; only the column of weight layers gives way on a narrow terminal."""
    longest = max(len(layer.name) for each in found for layer in each.cut.added)
    table = Table(box=None)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("mult-adds", justify="right", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    table.add_column("weight layers", min_width=longest)
    for each in found:
        table.add_row(*(Text(printable(cell)) for cell in _cells(each)))
    return table


def _cells(each: CutSize) -> list[str]:
    return [
        str(each.cut.n),
        each.cut.name,
        f"{each.below.parameters:,}",
        f"{each.parameter_share:.1%}",
        f"{each.multiply_add_share:.1%}",
        shape_text(each.shape),
        " ".join(layer.name for layer in each.cut.added),
    ]
