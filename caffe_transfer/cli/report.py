"""`report`: makes results.csv, figures and a page from logs."""

import shlex
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from caffe_transfer import paths
from caffe_transfer.cli.show import Screen
from caffe_transfer.cli.wrapping import echo_wrapped
from caffe_transfer.report import groups, tables, verdict_text
from caffe_transfer.report.contents import Decomposition, Report
from caffe_transfer.report.findings import Findings
from caffe_transfer.report.make import make_report, make_reports, run_labels
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.tensorboard import EventWriter
from caffe_transfer.report.verdict import Verdict

# With these names, and without the control's column, the table of effects fits into 80 characters.
_SHORT = {"lost co-adaptation": "co-adapt.", "specificity": "specific."}
_LEFT_OUT = "boost over selffer+"
_WIDEST = 100  # characters of a sentence's line


@click.command(name="report")
@click.argument(
    "folders", metavar="DIR...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--published",
    metavar="AUTHORS_DIR",
    type=click.Path(path_type=Path),
    help="Draw these results underneath, in gray: a folder of networks, or a results.csv.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write the report. [default: DIR/report for one run's folder, else ./report]",
)
@click.option(
    "--metric",
    type=click.Choice([metric.value for metric in Metric]),
    default=Metric.BEST10.value,
    show_default=True,
    help="Compare the mean of the ten highest accuracies, as the paper does, the last one, or the "
    "mean of the last ten.",
)
@click.option("--bare", is_flag=True, help="Draw the figures as the paper does, without intervals.")
@click.option(
    "--tensorboard",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Also write the curves for TensorBoard, into a folder; needs the extra tensorboard.",
)
def report_command(
    folders: tuple[Path, ...],
    published: Path | None,
    out: Path | None,
    metric: str,
    bare: bool,
    tensorboard: Path | None,
) -> None:
    """Write results.csv, figures and a page from the logs in DIR.

    DIR is a run's folder, or any folder of network folders with logs, such as the authors'
    results.  Ends with a verdict on each target task.

    The page, index.html, is one file to explore in a browser, without a server or a network.
    Several DIRs are shown side by side in one page; the other files of each then lie beside it, in
    a folder of its name.

    \b
    Example:
      caffe-transfer report demo
      caffe-transfer report demo --published convnet_transfer/results
      caffe-transfer report demo other-demo --out both
    """
    out = out or _default_folder(folders)
    chosen, labels = Metric(metric), run_labels(folders)
    several = len(folders) > 1
    writers = [
        EventWriter(tensorboard / label.replace("/", "-") if several else tensorboard)
        for label in labels
        if tensorboard is not None
    ]
    on_logs = [writer.add for writer in writers]
    with Screen(total=0) as screen:
        shared = published, screen.reading, chosen, bare
        if several:
            reports = make_reports(folders, out, *shared, on_logs)
        else:
            reports = [make_report(folders[0], out, *shared, next(iter(on_logs), None))]
    for label, report in zip(labels, reports, strict=True):
        if several:
            click.echo(f"\n== {label}\n")
        _show(report, paths.ReportFolder(out).page)
    if any(writer.written for writer in writers):
        click.echo(f"curves: tensorboard --logdir {shlex.quote(str(tensorboard))}")
    elif tensorboard is not None:
        click.echo("curves: none, since no network has a log")


def _default_folder(folders: tuple[Path, ...]) -> Path:
    """Where a report goes of which the user does not say."""
    is_run = len(folders) == 1 and paths.RunFolder(folders[0]).results.is_dir()
    return paths.RunFolder(folders[0] if is_run else Path()).report


def _show(report: Report, page: Path) -> None:
    console = Console()
    for of_group in report.decompositions:
        table = _effects_table(of_group)
        wide = console.options.update(max_width=1000)
        console.width = max(console.width, console.measure(table, options=wide).maximum)
        console.print(table)
        cells = "".join(cell for row in tables.short_effect_table(of_group).rows for cell in row)
        for mark, meaning in tables.MARKS.items():
            if mark in cells:
                echo_wrapped(f"{mark} ", meaning, _WIDEST)
        if of_group.control:
            echo_wrapped("", tables.control_sentence(of_group.control), _WIDEST)
    for note in tables.notes(report):
        echo_wrapped("", note, _WIDEST)
    unscored = sum(row.score is None for row in report.rows)
    click.echo(
        f"{len(report.rows)} networks, {report.complete} complete, {unscored} without scores"
    )
    if report.stalled:
        click.echo(f"stalled at the loss of guessing: {', '.join(report.stalled)}")
    for problem in report.problems:
        click.echo(f"note: {problem}", err=True)
    click.echo(f"figures: {', '.join(report.figures) or 'none'}")
    click.echo(f"page: {page}")
    for verdict in report.verdicts:
        _show_verdict(verdict)
    for findings in report.findings:
        _show_findings(findings)
    if report.verdicts:
        click.echo(f"\nWhat these intervals mean: {report.folder.table}")


def _effects_table(of_group: Decomposition) -> Table:
    """The decomposition, without the control's column, which its sentence sums up."""
    shown = tables.short_effect_table(of_group)
    title = f"{groups.title(of_group.group)}: top-1 accuracy and differences, percent"
    table = Table(title=title, box=None, pad_edge=False)
    columns = [i for i, name in enumerate(shown.columns) if name not in ("cut", _LEFT_OUT)]
    if "cut" in shown.columns:  # last, so that in a narrow terminal the numbers stay in line
        columns.append(shown.columns.index("cut"))
    for name in (shown.columns[i] for i in columns):
        table.add_column(
            _SHORT.get(name, name), justify="left" if name == "cut" else "right", no_wrap=True
        )
    for number, cells in enumerate(shown.rows):
        if number == len(of_group.effects):
            table.add_row()
        table.add_row(*(escape(cells[i]) for i in columns))
    table.add_row()
    return table


def _show_verdict(verdict: Verdict) -> None:
    click.echo(f"\nVerdict, {verdict_text.heading(verdict)}:")
    for sentence in verdict_text.sentences(verdict):
        echo_wrapped("- ", sentence, _WIDEST)


def _show_findings(of_group: Findings) -> None:
    click.echo(f"\nThe paper's findings, {groups.title(of_group.group).lower()}:")
    for finding in of_group.findings:
        text = f"{finding.status.value.upper()}: {finding.claim} {finding.sentence}"
        echo_wrapped("- ", text, _WIDEST)
