"""Logs of a network, as series: those of Caffe of any version, plain or gzip.

A network that was restarted has several logs whose iterations overlap: for each iteration the line
with the latest time counts.  Prefixes without a year (glog before 0.6) are ordered by the longest
pause: on the circle of the year, the longest time without training is where the year changes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from caffe_transfer import paths
from caffe_transfer.formats.resume import AS_CAFFE, EXACT
from caffe_transfer.report import log_text
from caffe_transfer.report.log_scanner import Points, Scanner, Series
from caffe_transfer.report.log_text import LineBlocks
from caffe_transfer.report.score_names import Score, ScoreNames

# What caffe-torch says of a resume; Caffe and it both say when they begin to train.
_BEGUN = re.compile(
    rf"\] (?:Resume: (?P<how>{EXACT}.*|{AS_CAFFE})|Starting Optimization\b)".encode()
)


@dataclass(frozen=True)
class Try:
    """One log of a network alone, as it was written; several where a training was restarted.

    Attributes:
        name: the file's name.
        train_loss, accuracy, valid_loss: as those of a NetworkLog.
    """

    name: str
    train_loss: Series
    accuracy: Series
    valid_loss: Series


@dataclass(frozen=True)
class NetworkLog:
    """The logs of one network, merged.

    Attributes:
        train_loss: loss on training batches, where displayed.
        accuracy, valid_loss: top-1 accuracy (0..1) and loss on the first test net.
        learning_rate: where displayed; empty unless `read_logs` was asked for it.
        top5: its top-5 accuracy (0..1), where the net has one.
        seconds_per_iteration: median over displayed lines, without restarts; None if unknown.
        seconds_with_tests: mean over the same lines, which the tests between them lengthen.
        last_iteration: the highest iteration displayed, tested or saved; 0 if there is none.
        problems: one sentence for each file that could not be read to its end or is not a log.
        tries: the files that hold a loss or a test, in the order in which they were given.
    """

    train_loss: Series
    accuracy: Series
    valid_loss: Series
    top5: Series
    seconds_per_iteration: float | None
    last_iteration: int = 0
    problems: tuple[str, ...] = ()
    seconds_with_tests: float | None = None
    learning_rate: Series = field(
        default_factory=lambda: Series(np.empty(0, np.int64), np.empty(0))
    )
    tries: tuple[Try, ...] = ()


class Follower:
    """Follows a log that is still being written.

    Attributes:
        iteration: the highest so far, 0 before the first.
        loss, accuracy: the latest, None before the first.
        resume: what a resume was, EXACT or AS_CAFFE or an exception to the former; None before
            training begins.  One from the start is AS_CAFFE.
    """

    def __init__(self) -> None:
        self.iteration = 0
        self.loss: float | None = None
        self.accuracy: float | None = None
        self.resume: str | None = None
        self._told = AS_CAFFE
        self._scanner = Scanner(ScoreNames())
        self._unfinished = b""

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the log; they may end within a line."""
        lines, newline, self._unfinished = (self._unfinished + data).rpartition(b"\n")
        if not newline:
            return
        if self.resume is None:
            self._look_for_resume(lines)
        self._scanner.feed(log_text.padded(lines + newline, len(lines) + 1))
        points = Points.join(self._scanner.losses)
        if len(points.values):
            self.loss = float(points.values[-1])
        self.iteration = self._scanner.last_iteration
        if tests := self._scanner.scores[Score.TOP1]:
            self.accuracy = tests[-1][2]
        self._scanner.losses.clear()
        for values in self._scanner.scores.values():
            values.clear()

    def _look_for_resume(self, lines: bytes) -> None:
        for found in _BEGUN.finditer(lines):
            if found["how"]:
                self._told = found["how"].decode(errors="replace")
            else:
                self.resume = self._told


def read_logs(
    files: Sequence[Path], names: ScoreNames | None = None, *, rates: bool = False
) -> NetworkLog:
    """Read the logs of one network, plain or gzip, in any order.

    Args:
        names: which outputs of its test net are scores, see `score_names`; by default guessed.
        rates: read the learning rate as well.

    Files that cannot be read to their end are listed in `problems`; the rest is still read.
    """
    scanners: list[Scanner] = []
    problems: list[str] = []
    for path in files:
        scanner = Scanner(names or ScoreNames(), rates)
        empty = True
        blocks = LineBlocks(path)
        for block in blocks:
            scanner.feed(block)
            empty = False
        scanners.append(scanner)
        if blocks.problem:
            problems.append(blocks.problem)
        if not (empty or scanner.is_caffe):
            problems.append(f"{path} holds no line of a Caffe log; it was left out")
    losses = [Points.join(scanner.losses) for scanner in scanners]
    median, mean = _paces(losses)
    return NetworkLog(
        train_loss=Points.join(losses).series(),
        accuracy=_scores(scanners, Score.TOP1),
        valid_loss=_scores(scanners, Score.LOSS),
        top5=_scores(scanners, Score.TOP5),
        seconds_per_iteration=median,
        seconds_with_tests=mean,
        learning_rate=Points.join([p for s in scanners for p in s.rates or ()]).series(),
        last_iteration=max((scanner.last_iteration for scanner in scanners), default=0),
        problems=tuple(problems),
        tries=tuple(filter(None, map(_try, files, scanners))),
    )


def _try(path: Path, scanner: Scanner) -> Try | None:
    losses = Points.join(scanner.losses).series()
    accuracy, valid_loss = (_scores([scanner], score) for score in (Score.TOP1, Score.LOSS))
    if not (len(losses) or len(accuracy) or len(valid_loss)):
        return None
    return Try(path.name, losses, accuracy, valid_loss)


def log_files(folder: Path) -> list[Path]:
    """The logs of a network's folder: in its logs/ and, as in 2014, beside its prototxts."""
    return _logs_in(paths.NetworkFolder(folder).logs) + _logs_in(folder)


def _logs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if paths.is_log(p.name) and p.is_file())


def _scores(scanners: Sequence[Scanner], score: Score) -> Series:
    return Points.of([row for scanner in scanners for row in scanner.scores[score]]).series()


def _paces(files: Sequence[Points]) -> tuple[float | None, float | None]:
    """Median and mean of the seconds that an iteration takes.

    Over the files' lines, except where iterations go back, at a restart.
    """
    seconds = np.concatenate([np.empty(0), *(np.diff(points.times) for points in files)])
    iterations = np.concatenate([np.empty(0), *(np.diff(points.iterations) for points in files)])
    forward = (iterations > 0) & (seconds >= 0)
    seconds, iterations = seconds[forward], iterations[forward]
    if not len(seconds):
        return None, None
    return float(np.median(seconds / iterations)), float(seconds.sum() / iterations.sum())
