"""Results of many networks as one table, a row per network, read from logs or from results.csv.

Top-1 is the paper's metric: the mean of the ten highest validation accuracies of a training run.
It rewards noise, so the last accuracy and the mean of the last ten stand beside it.
Losses are the means of the ten lowest.  What a log does not record is None, in results.csv empty.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from caffe_transfer import paths
from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.files import atomic_text
from caffe_transfer.nets.cut_record import CutRecord, read_cut
from caffe_transfer.reading import reading, reason_of
from caffe_transfer.report import logs, metric, tasks
from caffe_transfer.report.csv_text import csv_text
from caffe_transfer.report.intervals import Estimate, Repeat, Score, accuracy
from caffe_transfer.report.manifests import data_restarts, lacking_logs, manifest_of
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.settings import NetworkSettings, SettingsReader
from caffe_transfer.studies.network import DEFAULT_SEED, Network

# The columns of results.csv, a fixed interface (new ones go at the end), and what of a Row each is.
COLUMNS = {
    "network": "network.name",
    "mode": "network.mode.value",
    "base": "network.base",
    "target": "network.target",
    "split": "network.split",
    "n": "network.n",
    "fine_tuned": "network.fine_tuned",
    "iterations": "iterations",
    "complete": "complete",
    "top1": "top1",
    "top1_last": "top1_last",
    "valid_loss": "valid_loss",
    "train_loss": "train_loss",
    "stalled": "stalled",
    "cut": "cut",
    "valid_images": "valid_images",
    "seeds": "seeds",
    "top1_low": "top1_low",
    "top1_high": "top1_high",
    "top5": "top5",
    "tests": "tests",
    "top1_last10": "top1_last10",
    "data_restarts": "data_restarts",
}
_NOT_IN_OLDER_TABLES = (
    "cut", "valid_images", "seeds", "top1_low", "top1_high", "top5", "tests", "top1_last10",
    "data_restarts",
)  # fmt: skip
OnNetworkRead = Callable[[int, int, str], None]  # networks read, total, name of the next one
OnLogs = Callable[[str, logs.NetworkLog], None]  # name of a network, its logs


@dataclass(frozen=True)
class Row:
    """Results of one network; a value is None where its files do not give it.

    Attributes:
        iterations: last iteration reached.
        complete: whether that is the solver's max_iter.
        top1: validation accuracy (0..1), the mean of the ten highest.
        top1_last: validation accuracy (0..1) of the last test.
        valid_loss, train_loss: means of the ten lowest losses.
        stalled: whether the training loss is still that of guessing, ln(classes), or not finite.
        cut: the name of the cut at n.
        valid_images: the number of different images that a test scores.
        seeds: the networks in the table that repeat this one with other seeds, itself included.
        top5: top-5 validation accuracy (0..1), the mean of the ten highest.
        tests: the number of tests in the logs.
        top1_last10: validation accuracy (0..1), the mean of the last ten tests.
        data_restarts: how often training was resumed as Caffe resumes, with its data from record 0;
            None where no manifest says it.
        metric: which of the accuracies the report compares; no column.
    """

    network: Network
    iterations: int
    complete: bool | None = None
    top1: float | None = None
    top1_last: float | None = None
    valid_loss: float | None = None
    train_loss: float | None = None
    stalled: bool | None = None
    cut: str | None = None
    valid_images: int | None = None
    seeds: int = 1
    top5: float | None = None
    tests: int | None = None
    top1_last10: float | None = None
    data_restarts: int | None = None
    metric: Metric = Metric.BEST10

    @property
    def score(self) -> float | None:
        """The accuracy (0..1) that the report compares."""
        value: float | None = getattr(self, self.metric.column)
        return value

    @property
    def repeat(self) -> Repeat:
        """The task and the seed, within which networks are compared."""
        return Repeat(self.network.task, self.network.seed)

    @property
    def estimate(self) -> Estimate | None:
        """The score with its 95 % interval by the number of validation images."""
        return self._estimate(self.score)

    @property
    def top1_low(self) -> float | None:
        """The lower end of the interval of top1; None if the number of images is unknown."""
        return self._interval()[0]

    @property
    def top1_high(self) -> float | None:
        """The upper end of the interval of top1; None if the number of images is unknown."""
        return self._interval()[1]

    def _interval(self) -> tuple[float | None, float | None]:
        estimate = self._estimate(self.top1)
        return (estimate.low, estimate.high) if estimate else (None, None)

    def _estimate(self, value: float | None) -> Estimate | None:
        if value is None:
            return None
        return accuracy({self.repeat: Score(value, self.valid_images)})

    def as_dict(self) -> dict[str, Any]:
        """The values by the column names of results.csv."""
        return {column: attrgetter(name)(self) for column, name in COLUMNS.items()}


@dataclass(frozen=True)
class Results:
    """Results of a set of networks.

    Attributes:
        rows: one per network, sorted by name.
        problems: one sentence for each file or folder that was skipped or only partly read.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row], problems: Sequence[str] = ()) -> "Results":
        """These rows, each with the number of its seeds."""
        rows = tuple(rows)
        seeds = Counter(map(_without_seed, rows))
        counted = (replace(row, seeds=seeds[_without_seed(row)]) for row in rows)
        return cls(tuple(counted), tuple(problems))

    def by(self, metric: Metric) -> "Results":
        """The same results, compared by another metric."""
        rows = tuple(replace(row, metric=metric) for row in self.rows)
        lacking = [row for row in rows if row.score is None and row.top1 is not None]
        problem = (
            f"{len(lacking)} networks were left out, since their results.csv is older and has no "
            f"{metric.column}; make it again from its logs",
        )
        return Results(rows, self.problems + problem * bool(lacking))

    def as_dict(self) -> dict[str, Any]:
        """The rows as dictionaries, and the problems."""
        return {"rows": [row.as_dict() for row in self.rows], "problems": list(self.problems)}


def networks_folder(folder: Path) -> Path:
    """The folder that holds the networks: results/ in `folder` if it exists, else `folder` itself.

    Raises:
        BadInput: `folder` is not a folder.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; name one that holds networks, or a run's")
    inner = paths.RunFolder(folder).results
    return inner if inner.is_dir() else folder


def read_results(
    source: str | os.PathLike[str],
    progress: OnNetworkRead | None = None,
    on_logs: OnLogs | None = None,
) -> Results:
    """Read results from a folder of networks, a run's folder, or a results.csv.

    Args:
        progress, on_logs: as for `collect`.

    Raises:
        BadInput: `source` is neither, or holds no network.
        FormatError: the file is not a results.csv; names the line.
    """
    path = Path(source)
    return Results.of(read_csv(path)) if path.is_file() else collect(path, progress, on_logs)


def collect(
    results_dir: Path,
    progress: OnNetworkRead | None = None,
    on_logs: OnLogs | None = None,
    rates: bool = False,
) -> Results:
    """Read the logs of all networks in a folder; links to other folders are not followed.

    A base whose model was given, not trained, has no results and is passed over.

    Args:
        progress: called before each network is read.
        on_logs: called with each network's logs, of which the rows keep a few numbers only.
        rates: read learning rates for it as well.

    Raises:
        BadInput: `results_dir` is not a folder, or holds no network.
    """
    folder = networks_folder(results_dir)
    rows: list[Row] = []
    problems: list[str] = []
    settings = SettingsReader()
    children = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    for done, child in enumerate(children):
        if progress:
            progress(done, len(children), child.name)
        try:
            network = Network.parse(child.name)
        except BadInput:
            problems.append(f"{child} was left out, since its name is not that of a network")
            continue
        files = logs.log_files(child)
        manifest = manifest_of(child)
        if not files and "given" in manifest:
            continue
        found = settings.read(child)
        log = logs.read_logs(files, found.scores, rates=rates)
        problems += log.problems
        problems += lacking_logs(child, manifest, log.last_iteration)
        if on_logs:
            on_logs(network.name, log)
        try:
            cut = read_cut(paths.NetworkFolder(child).cut)
        except FormatError as error:
            cut = None
            problems.append(str(error))
        restarts = len(data_restarts(manifest)) if manifest else None
        rows.append(replace(_row(network, log, found, cut), data_restarts=restarts))
    if not rows:
        raise BadInput(f"{folder} holds no folder of a network, such as half0A")
    return Results.of(rows, (*problems, *settings.problems))


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write results.csv."""
    atomic_text(path, csv_text(COLUMNS, (row.as_dict() for row in rows)))


def read_csv(path: Path) -> list[Row]:
    """Read a results.csv.

    Raises:
        BadInput: the file cannot be read.
        FormatError: it is not a table of results; names the line.
    """
    with (
        reading(path, "a table of results", "make it anew with caffe-transfer report"),
        path.open(newline="", encoding="utf-8") as file,
    ):
        reader = csv.DictReader(file)
        known = {*(reader.fieldnames or ()), *_NOT_IN_OLDER_TABLES}
        missing = [name for name in COLUMNS if name not in known]
        if missing:
            raise FormatError(f"{path} is not a table of results: it lacks {missing[0]!r}")
        return [_row_of_text(path, reader.line_num, cells) for cells in reader]


def _row(
    network: Network, log: logs.NetworkLog, settings: NetworkSettings, cut: CutRecord | None
) -> Row:
    classes = tasks.classes(network, settings)
    return Row(
        network=network,
        iterations=log.last_iteration,
        complete=None if settings.max_iter is None else log.last_iteration >= settings.max_iter,
        top1=metric.mean_of_highest(log.accuracy.values),
        top1_last=float(log.accuracy.values[-1]) if len(log.accuracy) else None,
        valid_loss=metric.mean_of_lowest(log.valid_loss.values),
        train_loss=metric.mean_of_lowest(log.train_loss.values),
        stalled=metric.stalled(log.train_loss.values, classes),
        cut=cut.name if cut else None,
        valid_images=tasks.valid_images(settings, classes),
        top5=metric.mean_of_highest(log.top5.values),
        tests=len(log.accuracy),
        top1_last10=metric.mean_of_last(log.accuracy.values),
    )


def _without_seed(row: Row) -> Network:
    return replace(row.network, seed=DEFAULT_SEED)


def _row_of_text(path: Path, line: int, cells: dict[str, str]) -> Row:
    try:
        return Row(
            Network.parse(cells["network"]),
            iterations=int(cells["iterations"]),
            complete=_flag(cells["complete"]),
            top1=_value(cells["top1"]),
            top1_last=_value(cells["top1_last"]),
            valid_loss=_value(cells["valid_loss"]),
            train_loss=_value(cells["train_loss"]),
            stalled=_flag(cells["stalled"]),
            cut=cells.get("cut") or None,
            valid_images=int(cells.get("valid_images") or 0) or None,
            top5=_value(cells.get("top5", "")),
            tests=_count(cells.get("tests", "")),
            top1_last10=_value(cells.get("top1_last10", "")),
            data_restarts=_count(cells.get("data_restarts", "")),
        )
    except (BadInput, TypeError, ValueError, KeyError) as error:
        raise FormatError(
            f"{path} line {line} is not a row of results: {reason_of(error)}"
        ) from error


def _value(text: str) -> float | None:
    return float(text) if text else None


def _count(text: str) -> int | None:
    return int(text) if text else None


def _flag(text: str) -> bool | None:
    return {"true": True, "false": False, "": None}[text]
