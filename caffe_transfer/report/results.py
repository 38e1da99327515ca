"""The logs of many networks as one table: a row a network, in the paper's metric.

The metric is the mean of the ten highest validation accuracies of a training; losses are the
means of the ten lowest.  What a log does not tell stays empty.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_transfer import paths
from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.files import atomic_text
from caffe_transfer.report import logs
from caffe_transfer.report.log_text import Times
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network

COLUMNS = (
    "network", "mode", "base", "target", "split", "n", "fine_tuned", "iterations", "complete",
    "top1", "top1_last", "valid_loss", "train_loss", "stalled",
)  # fmt: skip
OnNetworkRead = Callable[[int, int, str], None]  # networks done, of how many, the name of the next

_BEST = 10  # values that the metric is the mean of
_LAST = 10  # displayed losses that tell whether a training has stalled
_STALLED_WITHIN = 0.02  # of ln(classes)
_ILSVRC_CLASSES = 1000
_MAX_ITER = re.compile(r"^\s*max_iter\s*:\s*(\d+)", re.M)
_NUM_OUTPUT = re.compile(r"\bnum_output\s*:\s*(\d+)")


@dataclass(frozen=True)
class Row:
    """What one network came to; None where its files do not tell.

    Attributes:
        iterations: the last one reached.
        complete: whether that is the solver's max_iter.
        top1, top1_last: validation accuracy (0..1), the paper's metric and the last value.
        valid_loss, train_loss: means of the ten lowest.
        stalled: the training loss is still that of guessing, ln(classes), or no number.
    """

    network: Network
    iterations: int
    complete: bool | None = None
    top1: float | None = None
    top1_last: float | None = None
    valid_loss: float | None = None
    train_loss: float | None = None
    stalled: bool | None = None


@dataclass(frozen=True)
class Results:
    """The rows in order of their names, and one sentence for each thing that was left out."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()


def networks_folder(folder: Path) -> Path:
    """The folder of the networks: `folder` itself, or results/ in a run's or a clone's folder.

    Raises:
        BadInput: there is no such folder.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; name one that holds networks, or a run's")
    inner = paths.RunFolder(folder).results
    return inner if inner.is_dir() else folder


def load(source: Path, progress: OnNetworkRead | None = None) -> Results:
    """The results of a folder of networks, or of a results.csv that was written before."""
    if source.is_file():
        return Results(tuple(read_csv(source)))
    return collect(source, progress)


def collect(results_dir: Path, progress: OnNetworkRead | None = None) -> Results:
    """Read the logs of all networks in a folder; links to other folders are not walked.

    Raises:
        BadInput: there is no such folder, or it holds no network.
    """
    folder = networks_folder(results_dir)
    rows: list[Row] = []
    problems: list[str] = []
    children = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    for done, child in enumerate(children):
        if progress:
            progress(done, len(children), child.name)
        try:
            network = Network.parse(child.name)
        except BadInput:
            problems.append(f"{child} was left out, since its name is not that of a network")
            continue
        log = logs.read_logs(logs.log_files(child))
        problems += log.problems
        rows.append(_row(network, child, log))
    if not rows:
        raise BadInput(f"{folder} holds no folder of a network, such as half0A")
    return Results(tuple(rows), tuple(problems))


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write the table; ten significant digits, nothing where a value is missing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        net = row.network
        writer.writerow(
            map(
                _as_text,
                (
                    net.name, net.mode, net.base, net.target, net.split, net.n, net.fine_tuned,
                    row.iterations, row.complete, row.top1, row.top1_last, row.valid_loss,
                    row.train_loss, row.stalled,
                ),
            )
        )  # fmt: skip
    atomic_text(path, text.getvalue())


def read_csv(path: Path) -> list[Row]:
    """Read a table that `write_csv` has written.

    Raises:
        FormatError: it is no such table; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise FormatError(f"{path} is no table of results: it lacks {missing[0]!r}")
            return [_row_of_text(path, reader.line_num, cells) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is no table of results: {error}") from error


def mean_of_highest(values: Times) -> float | None:
    """The paper's metric: the mean of the ten highest values, of fewer if there are fewer."""
    return None if len(values) == 0 else float(np.sort(values)[-_BEST:].mean())


def mean_of_lowest(values: Times) -> float | None:
    """The mean of the ten lowest values that are numbers; NaN where none is."""
    if len(values) == 0:
        return None
    finite = np.sort(values[np.isfinite(values)])[:_BEST]
    return float(finite.mean()) if len(finite) else math.nan


def _row(network: Network, folder: Path, log: logs.NetworkLog) -> Row:
    files = paths.NetworkFolder(folder)
    max_iter = _numbers_in(_MAX_ITER, files.solver, folder / paths.SOLVER_2014)
    outputs = _numbers_in(_NUM_OUTPUT, files.net, folder / paths.TRAIN_2014)
    return Row(
        network=network,
        iterations=log.last_iteration,
        complete=log.last_iteration >= max_iter[-1] if max_iter else None,
        top1=mean_of_highest(log.accuracy.values),
        top1_last=float(log.accuracy.values[-1]) if len(log.accuracy) else None,
        valid_loss=mean_of_lowest(log.valid_loss.values),
        train_loss=mean_of_lowest(log.train_loss.values),
        stalled=_stalled(log.train_loss.values, _classes(network, outputs)),
    )


def _numbers_in(pattern: re.Pattern[str], *candidates: Path) -> list[int]:
    """All numbers that a pattern finds in the first of the files that is there."""
    for path in candidates:
        if path.is_file():
            return [int(number) for number in pattern.findall(path.read_text(errors="replace"))]
    return []


def _classes(network: Network, outputs: Sequence[int]) -> int | None:
    """The classes that a network tells apart, which may be fewer than its outputs.

    The authors' halves keep all of ILSVRC's outputs, so guessing costs ln(500), not ln(1000).
    """
    if not outputs:
        return None
    if outputs[-1] != _ILSVRC_CLASSES:
        return outputs[-1]
    try:
        return paper().outputs(network)
    except BadInput:  # a split that is not the paper's
        return None


def _stalled(train_loss: Times, classes: int | None) -> bool | None:
    if len(train_loss) == 0:
        return None
    last = float(np.median(train_loss[-_LAST:]))
    if not math.isfinite(last):
        return True
    if classes is None:
        return None
    return abs(last - math.log(classes)) <= _STALLED_WITHIN * math.log(classes)


def _as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.10g}"
    return str(value)


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
        )
    except (BadInput, TypeError, ValueError, KeyError) as error:
        raise FormatError(f"{path} line {line} is no row of results: {error}") from error


def _value(text: str) -> float | None:
    return float(text) if text else None


def _flag(text: str) -> bool | None:
    return {"true": True, "false": False, "": None}[text]
