"""`inspect`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console

from caffe_transfer.cli.fit import print_fit
from caffe_transfer.cli.options import ImageShape
from caffe_transfer.cli.tables import Column, print_table
from caffe_transfer.cli.wrapping import echo, echo_wrapped
from caffe_transfer.comparison.contents import (
    BlobContents,
    DatabaseContents,
    MeanContents,
    ModelContents,
    StateContents,
)
from caffe_transfer.comparison.describe import Contents, describe
from caffe_transfer.comparison.fit import fit
from caffe_transfer.comparison.net_contents import NetContents, NetLayer, SolverContents
from caffe_transfer.comparison.statistics import Statistics
from caffe_transfer.errors import printable
from caffe_transfer.units import shape_text

FILE = click.Path(path_type=Path)


@click.command("inspect")
@click.argument("file", type=FILE)
@click.option("--stats", is_flag=True, help="Smallest, largest, mean, zeros of each blob.")
@click.option("--net", metavar="P", type=FILE, help="Prototxt: does the model FILE fit this net?")
@click.option("--shape", type=ImageShape(), help="Of the images, where the net does not say it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect_command(
    file: Path, stats: bool, net: Path | None, shape: tuple[int, ...] | None, as_json: bool
) -> int:
    """Show what is in a file of Caffe's.

    FILE is a caffemodel, a solverstate, a binaryproto, an LMDB or a prototxt, of any age. n numbers
    the weight layers, as copy --n counts them; it stands at all layers whose parameters belong to
    one. With --net: exit status 0 if the net gets all of its parameters from the model, else 1.

    \b
    Example:
      caffe-transfer inspect results/half0A/snapshots/net_iter_1000.caffemodel
      caffe-transfer inspect googlenet.caffemodel --stats
      caffe-transfer inspect googlenet.caffemodel --net deploy.prototxt
    """
    if net is not None:
        if stats:
            raise click.UsageError("--net and --stats are two questions; ask one at a time.")
        found = fit(file, net, shape)
        if as_json:
            click.echo(json.dumps(found.as_dict()))
        else:
            print_fit(found, file, net)
        return 0 if found.fits else 1
    contents = describe(file, stats=stats, images=shape)
    if as_json:
        click.echo(json.dumps(contents.as_dict()))
    else:
        _print(contents, stats)
    for warning in _warnings(contents):
        click.echo(f"warning: {printable(warning)}", err=True)
    return 0


def _print(contents: Contents, stats: bool) -> None:
    match contents:
        case ModelContents():
            _print_model(contents, stats)
        case StateContents():
            _print_state(contents, stats)
        case MeanContents(blob, means):
            values = "  ".join(f"{mean:.4f}" for mean in means)
            echo(f"binaryproto {shape_text(blob.shape)}, mean of each channel {values}")
            if stats:
                _print_statistics([("mean", [blob])])
        case DatabaseContents():
            _print_database(contents)
        case NetContents():
            _print_net(contents)
        case SolverContents(net, max_iter, settings):
            echo(f"solver of {net}, {max_iter:,} iterations")
            for line in settings.splitlines():
                echo(f"  {line}")


def _print_model(model: ModelContents, stats: bool) -> None:
    learned = [layer for layer in model.layers if layer.blobs]
    echo(f"caffemodel, format {model.format}, name {model.name!r}, {model.parameters:,} parameters")
    echo(f"{len(learned)} of {len(model.layers)} layers have parameters")
    if not learned:
        return
    if stats:
        _print_statistics([(f"{_n(each.n)}  {each.name}", each.blobs) for each in learned])
        return
    rows = [
        [_n(each.n), each.name, each.type, f"{sum(blob.size for blob in each.blobs):,}",
         " + ".join(shape_text(blob.shape) for blob in each.blobs)]
        for each in learned
    ]  # fmt: skip
    columns = [
        Column("n", right=True), Column("layer", fold=True), Column("type"),
        Column("parameters", right=True), Column("shapes"),
    ]  # fmt: skip
    print_table(Console(), columns, rows)


def _print_state(state: StateContents, stats: bool) -> None:
    echo(
        f"solverstate, iteration {state.iteration}, step {state.current_step}, of "
        f"{state.learned_net}"
    )
    if stats:
        _print_statistics([("history", state.history)])
        return
    rows = [[str(index), shape_text(blob.shape)] for index, blob in enumerate(state.history)]
    print_table(Console(), [Column("history", right=True), Column("shape", fold=True)], rows)


def _print_database(database: DatabaseContents) -> None:
    what = "LMDB" if database.view_of is None else f"view of {database.view_of}"
    echo(f"{what}, {database.records:,} records")
    if (first := database.first) is not None:
        kind = "encoded" if first.encoded else "raw"
        echo(f"  first {first.key}: {kind}, {shape_text(first.shape)}, label {first.label}")


def _print_net(net: NetContents) -> None:
    counts = [layer.parameter_count for layer in net.layers]
    known = sum(count or 0 for count in counts)
    total = f"{known:,}" if None not in counts else f"at least {known:,}" if known else "?"
    echo(f"net {net.name!r}, format {net.format}, {len(net.layers)} layers, {total} parameters")
    phases = any(layer.phase for layer in net.layers)
    columns = [
        Column("n", right=True), Column("layer", fold=True), Column("type"),
        *([Column("phase")] if phases else []), Column("output"), Column("parameters", right=True),
    ]  # fmt: skip
    print_table(Console(), columns, [_net_row(layer, phases) for layer in net.layers])
    if any(layer.frozen for layer in net.layers):
        echo("* frozen: training leaves it as it is")
    for note in net.notes:
        echo_wrapped("note: ", note)


def _net_row(layer: NetLayer, phases: bool) -> list[str]:
    count = layer.parameter_count
    number = "?" if count is None else f"{count:,}" if count else ""
    shapes = "\n".join("?" if shape is None else shape_text(shape) for shape in layer.shapes)
    phase = [layer.phase] if phases else []
    mark = "*" if layer.frozen else " "
    return [_n(layer.n), layer.name, layer.type, *phase, shapes, number + mark]


def _print_statistics(groups: Iterable[tuple[str, Sequence[BlobContents]]]) -> None:
    """A line for each group of blobs, and below it a line for each blob."""
    groups = list(groups)
    wrong = any(each.nans or each.infinities for _, blobs in groups for each in _found(blobs))
    numbers = ["min", "max", "mean", "zeros", *(["NaN", "Inf"] if wrong else [])]
    columns = [Column("blob", fold=True), *(Column(name, right=True) for name in numbers)]
    rows = []
    for name, blobs in groups:
        rows.append([name, *[""] * (len(columns) - 1)])
        for index, (blob, each) in enumerate(zip(blobs, _found(blobs), strict=True)):
            cells = [_number(each.least), _number(each.most), _number(each.mean), f"{each.zeros:,}"]
            cells += [f"{each.nans:,}", f"{each.infinities:,}"] if wrong else []
            rows.append([f"     {index}  {shape_text(blob.shape)}", *cells])
    print_table(Console(), columns, rows)


def _found(blobs: Sequence[BlobContents]) -> list[Statistics]:
    return [blob.statistics for blob in blobs if blob.statistics is not None]


def _warnings(contents: Contents) -> list[str]:
    """Blobs with NaN or infinite numbers, where statistics were asked for."""
    groups: dict[str, Sequence[BlobContents]] = {}
    match contents:
        case ModelContents():
            groups = {f"layer {each.name}": each.blobs for each in contents.layers}
        case StateContents():
            groups = {"history": contents.history}
        case MeanContents():
            groups = {"the mean": [contents.blob]}
    return [
        f"{name}, blob {index} has {each.nans:,} NaN and {each.infinities:,} infinite numbers"
        for name, blobs in groups.items()
        for index, each in enumerate(_found(blobs))
        if each.nans or each.infinities
    ]


def _n(number: int | None) -> str:
    return "" if number is None else str(number)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
