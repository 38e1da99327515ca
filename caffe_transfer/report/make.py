"""A study's report: its results as tables, figures, verdict, and a page with all of it."""

from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.files import atomic_text
from caffe_transfer.report import figures, page, results, style, tables
from caffe_transfer.report.contents import Report
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.results import OnNetworkRead, Results


def make_report(
    results_dir: Path,
    out_dir: Path,
    published: Path | None = None,
    progress: OnNetworkRead | None = None,
    metric: Metric = Metric.BEST10,
    bare: bool = False,
) -> Report:
    """Read the networks' logs and write results.csv, the tables, the figures and the page.

    Args:
        results_dir: a folder of networks, or a run's folder.
        out_dir: where the report is written.
        published: results to draw underneath: a folder of networks or a results.csv.
        progress: called before each network is read.
        metric: the accuracy that all of the report compares; results.csv has all of them.
        bare: draw the figures as the paper does, without intervals.

    Raises:
        BadInput: a folder does not exist or holds no network, or the report cannot be written.
        FormatError: `published` is a file, but not a results.csv.
    """
    own = results.collect(results_dir, progress).by(metric)
    theirs = results.read_results(published, progress) if published else Results(())
    theirs = theirs.by(metric)
    drawn = figures.draw_all(own.rows, theirs.rows, bare)
    folder, problems = paths.ReportFolder(out_dir), own.problems + theirs.problems
    report = Report.of(folder, own.rows, tuple(drawn), problems)
    results.write_csv(folder.results, report.rows)
    atomic_text(folder.decomposition, tables.decomposition_csv(report.decompositions))
    for name, figure in drawn.items():
        for suffix in style.SUFFIXES:
            style.save(figure, folder.figure(name, suffix))
    atomic_text(folder.table, tables.markdown(report))
    atomic_text(folder.page, page.render(report))
    return report
