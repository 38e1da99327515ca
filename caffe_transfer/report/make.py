"""A study's report: its results as a table, the paper's figures, and a page with both."""

from dataclasses import dataclass
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.files import atomic_text
from caffe_transfer.report import decomposition, figures, page, results, style
from caffe_transfer.report.decomposition import Effects
from caffe_transfer.report.results import OnNetworkRead, Results, Row


@dataclass(frozen=True)
class Report:
    """What a report says and where its files are.

    Attributes:
        effects, averages: the decomposition for each n, and over n = 1..7, 3..7, 5..7.
        figures: names of the figures that there were networks for.
        problems: one sentence for each thing that was left out.
    """

    folder: paths.ReportFolder
    rows: tuple[Row, ...]
    effects: tuple[Effects, ...]
    averages: tuple[Effects, ...]
    figures: tuple[str, ...]
    problems: tuple[str, ...]


def make_report(
    results_dir: Path,
    out_dir: Path,
    published: Path | None = None,
    progress: OnNetworkRead | None = None,
) -> Report:
    """Read the networks' logs and write results.csv, the tables, the figures and the page.

    Args:
        results_dir: a folder of networks, or a run's folder with results/ in it.
        out_dir: where the report is written.
        published: results to draw underneath, as such a folder or a results.csv.
        progress: called for each network.

    Raises:
        BadInput: there are no such folders, or no networks in them, or no way to write.
    """
    own = results.collect(results_dir, progress)
    theirs = results.load(published, progress) if published else Results(())
    folder = paths.ReportFolder(out_dir)
    level = decomposition.levels(own.rows)
    effects = tuple(decomposition.decompose(level))
    averages = tuple(decomposition.averages(level))

    results.write_csv(folder.results, own.rows)
    atomic_text(folder.decomposition, decomposition.as_csv([*effects, *averages]))
    drawn = figures.draw_all(own.rows, theirs.rows)
    for name, figure in drawn.items():
        for suffix in style.SUFFIXES:
            style.save(figure, folder.figure(name, suffix))
    report = Report(
        folder, own.rows, effects, averages, tuple(drawn), own.problems + theirs.problems
    )
    atomic_text(folder.table, page.markdown(report))
    atomic_text(folder.page, page.render(report))
    return report
