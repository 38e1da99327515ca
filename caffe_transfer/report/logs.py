"""Caffe's training logs of any version, as series.

    2014        I0403 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = 6.66556
                I0403 07:18:00.000001 23304 solver.cpp:96] Iteration 1000, Testing net
                I0403 07:20:10.000001 23304 solver.cpp:123] Test score #0: 0.0389
    Caffe 1.0   I1123 06:46:22.716258    7 solver.cpp:239] Iteration 20 (5.6 iter/s, ..), loss = 2
                I20261123 06:46:22.716258    7 solver.cpp:347] Iteration 100, Testing net (#0)
                I20261123 06:46:22.716258    7 solver.cpp:414]   Test net output #0: accuracy = 0.5

A network that was restarted has several logs whose iterations overlap: for each iteration the line
with the latest time counts.  Prefixes without a year (glog before 0.6) are ordered by the longest
pause: on the circle of the year, the longest time without training is where the year changes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_transfer import paths
from caffe_transfer.report import log_text
from caffe_transfer.report.log_text import Flags, LineBlocks, Positions, Text, Times
from caffe_transfer.report.score_names import Score, ScoreNames

_GLOG_PREFIX = re.compile(rb"^[IWEF](?:\d{4}|\d{8}) \d\d:\d\d:\d\d\.\d+ +\d+ \S+\] ", re.M)
_TEST = re.compile(
    rb"Testing net(?: \(#(?P<net>\d+)\))?"
    rb"|Test (?:score|net output) #(?P<output>\d+): (?:(?P<name>\S+) = )?(?P<value>\S+)"
    rb"(?P<weighted> \(\*)?"
)
_SAVED = re.compile(rb".*_iter_(\d+)")


@dataclass(frozen=True)
class Series:
    """One quantity over the training: ascending iterations (int64) and values (float64)."""

    iterations: Positions
    values: Times

    def __len__(self) -> int:
        return len(self.iterations)


@dataclass(frozen=True)
class NetworkLog:
    """The logs of one network, merged.

    Attributes:
        train_loss: loss on training batches, where displayed.
        accuracy, valid_loss: top-1 accuracy (0..1) and loss on the first test net.
        top5: its top-5 accuracy (0..1), where the net has one.
        seconds_per_iteration: median over displayed lines, without restarts; None if unknown.
        last_iteration: the highest iteration displayed, tested or saved; 0 if there is none.
        problems: one sentence for each file that could not be read to its end or is not a log.
    """

    train_loss: Series
    accuracy: Series
    valid_loss: Series
    top5: Series
    seconds_per_iteration: float | None
    last_iteration: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Points:
    """Values in the order of their lines; times in seconds since 1970."""

    times: Times
    iterations: Positions
    values: Times

    @classmethod
    def join(cls, parts: "Sequence[_Points]") -> "_Points":
        if not parts:
            return cls.of([])
        return cls(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.iterations for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    @classmethod
    def of(cls, rows: Sequence[tuple[float, int, float]]) -> "_Points":
        return cls(
            np.array([row[0] for row in rows], np.float64),
            np.array([row[1] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.float64),
        )

    def series(self) -> Series:
        """One value per iteration: the one with the latest time, at equal times the last line."""
        order = np.lexsort((log_text.in_order_of_years(self.times), self.iterations))
        iterations = self.iterations[order]
        last = np.append(iterations[1:] != iterations[:-1], True)[: len(order)]
        return Series(iterations[last], self.values[order][last])


class _Lines:
    """A block of a log, with the positions of its line starts and iteration numbers."""

    def __init__(self, block: bytes) -> None:
        self.text: Text = np.frombuffer(block, np.uint8)
        self._starts = log_text.line_starts(self.text)
        self._brackets = log_text.positions(self.text, b"]")
        self._marks = log_text.after(self.text, b"] Iteration ", self._brackets)

    def losses(self) -> Positions:
        """Positions of the loss values."""
        equals = log_text.positions(self.text, b"=")
        return log_text.after(self.text, b", loss = ", equals - len(b", loss "))

    def snapshots(self) -> Positions:
        """Positions of messages that begin with "Snapshot"."""
        first = self._brackets + len(b"] ")
        return first[log_text.begins(self.text, first, b"Snapshot")]

    def tests(self) -> Positions:
        """Positions of "Test" at a message's start, indented, or after its iteration."""
        at = log_text.positions(self.text, b"T")
        at = at[log_text.begins(self.text, at, b"Test")]
        brackets = np.append(self._brackets, -len(self.text))  # index -1, none before: the last
        before = brackets[np.searchsorted(self._brackets, at) - 1]
        first = (at - before == len(b"] ")) | (at - before == len(b"]     "))
        tests: Positions = at[first | log_text.begins(self.text, at, b"Testing ")]
        return tests

    def about(self, at: Positions) -> tuple[Times, Positions, Flags]:
        """Times and iterations of the lines at the positions, and which lines have both."""
        starts = self._starts[np.searchsorted(self._starts, at, "right") - 1]
        times, dated = log_text.times(self.text, starts)
        before = np.searchsorted(self._marks, at, "right") - 1
        marks = np.append(self._marks, 0)[before]  # index -1, none before: the 0
        iterations, numbers = log_text.numbers(self.text, marks, np.int64)
        return times, iterations, dated & numbers & (marks > starts)


class _Scanner:
    """Reads one log in blocks of whole lines.

    The many lines with a loss are parsed as arrays, only the few lines about tests one by one.
    """

    def __init__(self, names: ScoreNames) -> None:
        self.losses: list[_Points] = []
        self.scores: dict[Score, list[tuple[float, int, float]]] = {score: [] for score in Score}
        self.is_caffe = False
        self.last_iteration = 0
        self._names = names
        self._test: tuple[float, int] | None = None  # time, iteration
        self._seen: set[Score] = set()  # in this test

    def feed(self, block: bytes) -> None:
        """Read a block of whole lines, followed by PADDING."""
        self.is_caffe = self.is_caffe or _GLOG_PREFIX.search(block) is not None
        lines = _Lines(block)
        losses = lines.losses()
        times, iterations, dated = lines.about(losses)
        values, numbers = log_text.numbers(lines.text, losses, np.float64)
        good = dated & numbers
        self.losses.append(_Points(times[good], iterations[good], values[good]))
        self._reached(int(iterations[good].max(initial=0)))
        for at in lines.snapshots().tolist():
            if saved := _SAVED.match(block, at):
                self._reached(int(saved[1]))
        self._read_tests(block, lines)

    def _reached(self, iteration: int) -> None:
        self.last_iteration = max(self.last_iteration, iteration)

    def _read_tests(self, block: bytes, lines: "_Lines") -> None:
        found = [match for at in lines.tests().tolist() if (match := _TEST.match(block, at))]
        begun = np.array([m.start() for m in found if m["value"] is None], np.int64)
        tests = zip(*(each.tolist() for each in lines.about(begun)), strict=True)
        for match in found:
            if match["value"] is not None:
                self._read_score(match)
                continue
            time, iteration, good = next(tests)
            if good:
                first_net = int(match["net"] or 0) == 0
                self._test = (time, iteration) if first_net else None
                self._seen = set()
                self._reached(iteration)

    def _read_score(self, match: re.Match[bytes]) -> None:
        """The first output of its kind counts."""
        score = self._names.score(match["output"], match["name"], match["weighted"] is not None)
        if self._test is None or score is None or score in self._seen:
            return
        try:
            value = float(match["value"])
        except ValueError:
            return
        self._seen.add(score)
        self.scores[score].append((*self._test, value))


class Follower:
    """Follows a log that is still being written.

    Attributes:
        iteration: the highest so far, 0 before the first.
        loss, accuracy: the latest, None before the first.
    """

    def __init__(self) -> None:
        self.iteration = 0
        self.loss: float | None = None
        self.accuracy: float | None = None
        self._scanner = _Scanner(ScoreNames())
        self._unfinished = b""

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the log; they may end within a line."""
        lines, newline, self._unfinished = (self._unfinished + data).rpartition(b"\n")
        if not newline:
            return
        self._scanner.feed(log_text.padded(lines + newline, len(lines) + 1))
        points = _Points.join(self._scanner.losses)
        if len(points.values):
            self.loss = float(points.values[-1])
        self.iteration = self._scanner.last_iteration
        if tests := self._scanner.scores[Score.TOP1]:
            self.accuracy = tests[-1][2]
        self._scanner.losses.clear()
        for values in self._scanner.scores.values():
            values.clear()


def read_logs(files: Sequence[Path], names: ScoreNames | None = None) -> NetworkLog:
    """Read the logs of one network, plain or gzip, in any order.

    Args:
        names: which outputs of its test net are scores, see `score_names`; by default guessed.

    Files that cannot be read to their end are listed in `problems`; the rest is still read.
    """
    scanners: list[_Scanner] = []
    problems: list[str] = []
    for path in files:
        scanner = _Scanner(names or ScoreNames())
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
    losses = [_Points.join(scanner.losses) for scanner in scanners]
    return NetworkLog(
        train_loss=_Points.join(losses).series(),
        accuracy=_scores(scanners, Score.TOP1),
        valid_loss=_scores(scanners, Score.LOSS),
        top5=_scores(scanners, Score.TOP5),
        seconds_per_iteration=_seconds_per_iteration(losses),
        last_iteration=max((scanner.last_iteration for scanner in scanners), default=0),
        problems=tuple(problems),
    )


def log_files(folder: Path) -> list[Path]:
    """The logs of a network's folder: in its logs/ and, as in 2014, beside its prototxts."""
    return _logs_in(paths.NetworkFolder(folder).logs) + _logs_in(folder)


def _logs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if paths.is_log(p.name) and p.is_file())


def _scores(scanners: Sequence[_Scanner], score: Score) -> Series:
    return _Points.of([row for scanner in scanners for row in scanner.scores[score]]).series()


def _seconds_per_iteration(files: Sequence[_Points]) -> float | None:
    """The median over the files' lines, except where iterations go back, at a restart."""
    rates = []
    for points in files:
        seconds, iterations = np.diff(points.times), np.diff(points.iterations)
        forward = (iterations > 0) & (seconds >= 0)
        rates.append(seconds[forward] / iterations[forward])
    everything = np.concatenate(rates) if rates else np.empty(0)
    return float(np.median(everything)) if len(everything) else None
