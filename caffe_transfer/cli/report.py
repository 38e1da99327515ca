"""`report`: makes results.csv, figures and a page from logs."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from caffe_transfer import paths
from caffe_transfer.report import tables
from caffe_transfer.report.make import make_report
from caffe_transfer.report.tables import Report

# Short names of the first of tables.EFFECT_COLUMNS, which fit into 80 characters.
_SHORT = (
    "n", "base", "selffer", "selffer+", "transfer", "transfer+", "co-adapt.", "specific.", "boost",
)  # fmt: skip


@click.command(name="report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--published",
    metavar="AUTHORS_DIR",
    type=click.Path(path_type=Path),
    help="Draw these results underneath, in gray: a folder of networks, or a results.csv.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write the report. [default: DIR/report for a run's folder, else ./report]",
)
def report_command(folder: Path, published: Path | None, out: Path | None) -> None:
    """Write results.csv, figures and a page from the logs in DIR.

    DIR is a run's folder, or any folder of network folders with logs, such as the authors'
    results.

    \b
    Example:
      caffe-transfer report demo
      caffe-transfer report demo --published convnet_transfer/results
    """
    if out is None:
        is_run = paths.RunFolder(folder).results.is_dir()
        out = paths.RunFolder(folder if is_run else Path()).report
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("reading logs")

        def progress(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=f"reading {name}")

        report = make_report(folder, out, published, progress)
    _show(report)


def _show(report: Report) -> None:
    console = Console()
    if report.effects:
        console.print(_effects_table(report))
    if report.control:
        click.echo(tables.control_sentence(report.control))
    unscored = sum(row.top1 is None for row in report.rows)
    click.echo(
        f"{len(report.rows)} networks, {report.complete} complete, {unscored} without scores"
    )
    if report.stalled:
        click.echo(f"stalled at the loss of guessing: {', '.join(report.stalled)}")
    for problem in report.problems:
        click.echo(f"note: {problem}", err=True)
    click.echo(f"figures: {', '.join(report.figures) or 'none'}")
    click.echo(f"page: {report.folder.page}")


def _effects_table(report: Report) -> Table:
    table = Table(title="Top-1 accuracy and differences, percent", box=None, pad_edge=False)
    for name in _SHORT:
        table.add_column(name, justify="right", no_wrap=True)
    for effects in filter(None, (report.effects, report.averages)):
        for effect in effects:
            table.add_row(*tables.effect_cells(effect)[: len(_SHORT)])
        table.add_row()
    return table
