"""A study's report: its results as a table, the paper's figures, and a page with both."""

from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.files import atomic_text
from caffe_transfer.report import decomposition, figures, page, results, style, tables
from caffe_transfer.report.control import control
from caffe_transfer.report.results import OnNetworkRead, Results
from caffe_transfer.report.tables import Report


def make_report(
    results_dir: Path,
    out_dir: Path,
    published: Path | None = None,
    progress: OnNetworkRead | None = None,
) -> Report:
    """Read the networks' logs and write results.csv, the tables, the figures and the page.

    Args:
        results_dir: a folder of networks, or a run's folder.
        out_dir: where the report is written.
        published: results to draw underneath: a folder of networks or a results.csv.
        progress: called before each network is read.

    Raises:
        BadInput: a folder does not exist or holds no network, or the report cannot be written.
        FormatError: `published` is a file, but not a results.csv.
    """
    own = results.collect(results_dir, progress)
    theirs = results.read_results(published, progress) if published else Results(())
    level = decomposition.levels(own.rows)
    drawn = figures.draw_all(own.rows, theirs.rows)
    report = Report(
        folder=paths.ReportFolder(out_dir),
        rows=own.rows,
        effects=tuple(decomposition.decompose(level)),
        averages=tuple(decomposition.averages(level)),
        control=control(own.rows),
        figures=tuple(drawn),
        problems=own.problems + theirs.problems,
    )
    results.write_csv(report.folder.results, report.rows)
    atomic_text(
        report.folder.decomposition, tables.effects_csv([*report.effects, *report.averages])
    )
    for name, figure in drawn.items():
        for suffix in style.SUFFIXES:
            style.save(figure, report.folder.figure(name, suffix))
    atomic_text(report.folder.table, tables.markdown(report))
    atomic_text(report.folder.page, page.render(report))
    return report
