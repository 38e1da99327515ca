"""A study's report: its results as tables, figures, verdict, and a page with all of it."""

from collections.abc import Sequence
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.report import figures, results, style, tables
from caffe_transfer.report.contents import Report
from caffe_transfer.report.page.curves import Curves
from caffe_transfer.report.page.data import Published, Run
from caffe_transfer.report.page.provenance import provenance
from caffe_transfer.report.page.render import render
from caffe_transfer.report.results import OnNetworkRead


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
    theirs, problems = _read_published(published, progress)
    run = _write_files(results_dir, out_dir, "", theirs, problems, progress)
    atomic_text(run.report.folder.page, render([run], theirs))
    return run.report


def make_reports(
    results_dirs: Sequence[Path],
    out_dir: Path,
    published: Path | None = None,
    progress: OnNetworkRead | None = None,
) -> list[Report]:
    """Write one page on several runs, and beside it a folder for each with its tables and figures.

    Args:
        results_dirs: folders of networks, or runs' folders.
        out_dir: where the page is written; a run's files go into a folder of its name there.
        published, progress: as for `make_report`.

    Raises:
        BadInput, FormatError: as `make_report` does; or one folder is named twice.
    """
    labels = run_labels(results_dirs)
    theirs, problems = _read_published(published, progress)
    runs = []
    for label, folder in zip(labels, results_dirs, strict=True):
        own = out_dir / label.replace("/", "-")
        runs.append(_write_files(folder, own, label, theirs, problems, progress))
    atomic_text(paths.ReportFolder(out_dir).page, render(runs, theirs))
    return [run.report for run in runs]


def run_labels(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the folders' paths that tell them apart, such as "demo", or "a/demo".

    Raises:
        BadInput: a folder is named twice.
    """
    whole = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, whole, strict=True):
        if whole.count(path) > 1:
            raise BadInput(f"{folder} is named twice; name each run once")
    for length in range(1, max(len(path.parts) for path in whole) + 1):
        labels = ["/".join(path.parts[-length:]).lstrip("/") for path in whole]
        if len({label.replace("/", "-") for label in labels}) == len(labels):
            break
    return labels


def _read_published(
    source: Path | None, progress: OnNetworkRead | None
) -> tuple[Published, tuple[str, ...]]:
    if source is None:
        return Published(), ()
    curves = Curves()
    found = results.read_results(source, progress, curves.add)
    return Published(found.rows, curves.tries), found.problems


def _write_files(
    results_dir: Path,
    out_dir: Path,
    label: str,
    published: Published,
    problems: tuple[str, ...],
    progress: OnNetworkRead | None,
) -> Run:
    """Write everything of a run's report but its page."""
    curves = Curves()
    own = results.collect(results_dir, progress, curves.add)
    drawn = figures.draw_all(own.rows, published.rows)
    folder = paths.ReportFolder(out_dir)
    report = Report.of(folder, own.rows, tuple(drawn), own.problems + problems)
    results.write_csv(folder.results, report.rows)
    atomic_text(folder.decomposition, tables.decomposition_csv(report.decompositions))
    for name, figure in drawn.items():
        for suffix in style.SUFFIXES:
            style.save(figure, folder.figure(name, suffix))
    atomic_text(folder.table, tables.markdown(report))
    return Run(label, report, curves.tries, provenance(results_dir, own.rows))
