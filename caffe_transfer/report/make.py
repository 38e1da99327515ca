"""A study's report: its results as tables, figures, verdict, and a page with all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.report import results, tables
from caffe_transfer.report.contents import Report
from caffe_transfer.report.logs import NetworkLog
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.page.curves import Curves
from caffe_transfer.report.page.data import Published, Run
from caffe_transfer.report.page.provenance import provenance
from caffe_transfer.report.page.render import render
from caffe_transfer.report.results import OnLogs, OnNetworkRead, Results


def make_report(
    results_dir: Path,
    out_dir: Path,
    published: Path | None = None,
    progress: OnNetworkRead | None = None,
    metric: Metric = Metric.BEST10,
    bare: bool = False,
    on_logs: OnLogs | None = None,
) -> Report:
    """Read the networks' logs and write results.csv, the tables, the figures and the page.

    Args:
        results_dir: a folder of networks, or a run's folder.
        out_dir: where the report is written.
        published: results to draw underneath: a folder of networks or a results.csv.
        progress: called before each network is read.
        metric: the accuracy that all of the report compares; results.csv has all of them.
        bare: draw the figures as the paper does, without intervals.
        on_logs: called with each network's name and logs, learning rates included.

    Raises:
        BadInput: a folder does not exist or holds no network, or the report cannot be written.
        FormatError: `published` is a file, but not a results.csv.
    """
    own = _read(results_dir, metric, progress, on_logs)
    theirs = _read_published(published, metric, progress)
    run = _write_files("", own, out_dir, theirs, bare)
    atomic_text(run.report.folder.page, render([run], theirs.shown, bare))
    return run.report


def make_reports(
    results_dirs: Sequence[Path],
    out_dir: Path,
    published: Path | None = None,
    progress: OnNetworkRead | None = None,
    metric: Metric = Metric.BEST10,
    bare: bool = False,
    on_logs: Sequence[OnLogs] = (),
) -> list[Report]:
    """Write one page on several runs, and beside it a folder for each with its tables and figures.

    Args:
        results_dirs: folders of networks, or runs' folders.
        out_dir: where the page is written; a run's files go into a folder of its name there.
        published, progress, metric, bare: as for `make_report`.
        on_logs: as for `make_report`, one for each of the folders, or none.

    Raises:
        BadInput, FormatError: as `make_report` does; or one folder is named twice.
    """
    labels = run_labels(results_dirs)
    read = [
        _read(folder, metric, progress, called)
        for folder, called in zip_longest(results_dirs, on_logs)
    ]
    theirs = _read_published(published, metric, progress)
    runs = [
        _write_files(label, own, out_dir / _file_name(label), theirs, bare)
        for label, own in zip(labels, read, strict=True)
    ]
    atomic_text(paths.ReportFolder(out_dir).page, render(runs, theirs.shown, bare))
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
        if len(set(map(_file_name, labels))) == len(labels):
            break
    return labels


def _file_name(label: str) -> str:
    return label.replace("/", "-")


@dataclass(frozen=True)
class _Read:
    """Results and learning curves as they were read."""

    source: Path
    results: Results
    curves: Curves

    @property
    def shown(self) -> Published:
        return Published(self.results.rows, self.curves.tries)


def _read(
    folder: Path, metric: Metric, progress: OnNetworkRead | None, on_logs: OnLogs | None
) -> _Read:
    curves = Curves()

    def keep(name: str, log: NetworkLog) -> None:
        curves.add(name, log)
        if on_logs is not None:
            on_logs(name, log)

    found = results.collect(folder, progress, keep, rates=on_logs is not None)
    return _Read(folder, found.by(metric), curves)


def _read_published(source: Path | None, metric: Metric, progress: OnNetworkRead | None) -> _Read:
    curves = Curves()
    if source is None:
        return _Read(Path(), Results(()), curves)
    return _Read(source, results.read_results(source, progress, curves.add).by(metric), curves)


def _write_files(label: str, own: _Read, out_dir: Path, published: _Read, bare: bool) -> Run:
    """Write everything of a run's report but its page."""
    # Here, since matplotlib takes as long to import as all that `run` needs before.
    from caffe_transfer.report import figures, style

    rows = own.results.rows
    drawn = figures.draw_all(rows, published.results.rows, bare)
    folder = paths.ReportFolder(out_dir)
    problems = own.results.problems + published.results.problems
    report = Report.of(folder, rows, tuple(drawn), problems)
    results.write_csv(folder.results, rows)
    atomic_text(folder.decomposition, tables.decomposition_csv(report.decompositions))
    for name, figure in drawn.items():
        for suffix in style.SUFFIXES:
            style.save(figure, folder.figure(name, suffix))
    atomic_text(folder.table, tables.markdown(report))
    return Run(label, report, own.curves.tries, provenance(own.source, rows))
