"""Reads one log of Caffe, of any version, block by block.

2014        I0403 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = 6.66556
            I0403 07:18:00.000001 23304 solver.cpp:96] Iteration 1000, Testing net
            I0403 07:20:10.000001 23304 solver.cpp:123] Test score #0: 0.0389
Caffe 1.0   I1123 06:46:22.716258    7 solver.cpp:239] Iteration 20 (5.6 iter/s, ..), loss = 2
            I20261123 06:46:22.716258    7 solver.cpp:347] Iteration 100, Testing net (#0)
            I20261123 06:46:22.716258    7 solver.cpp:414]   Test net output #0: accuracy = 0.5
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from caffe_transfer.report import log_text
from caffe_transfer.report.log_text import Flags, Positions, Text, Times
from caffe_transfer.report.score_names import Score, ScoreNames

_GLOG_PREFIX = re.compile(rb"^[IWEF](?:\d{4}|\d{8}) \d\d:\d\d:\d\d\.\d+ +\d+ \S+\] ", re.M)
_TEST = re.compile(
    rb"Testing net(?: \(#(?P<net>\d{1,18})\))?"
    rb"|Test (?:score|net output) #(?P<output>\d+): (?:(?P<name>\S+) = )?(?P<value>\S+)"
    rb"(?P<weighted> \(\*)?"
)
_SAVED = re.compile(rb".*_iter_(\d{1,18})(?!\d)")


@dataclass(frozen=True)
class Series:
    """One quantity over the training.

    Attributes:
        iterations: ascending.
        values: float64.
        times: when each was logged, in seconds since 1970; of logs without a year, since a year
            that stands for it.
    """

    iterations: Positions
    values: Times
    times: Times = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.iterations)


@dataclass(frozen=True)
class Points:
    """Values in the order of their lines; times in seconds since 1970."""

    times: Times
    iterations: Positions
    values: Times

    @classmethod
    def join(cls, parts: "Sequence[Points]") -> "Points":
        """Put the points of several blocks or logs one after another."""
        if not parts:
            return cls.of([])
        return cls(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.iterations for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    @classmethod
    def of(cls, rows: Sequence[tuple[float, int, float]]) -> "Points":
        """Points from rows of time, iteration and value."""
        return cls(
            np.array([row[0] for row in rows], np.float64),
            np.array([row[1] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.float64),
        )

    def series(self) -> Series:
        """One value per iteration: the one with the latest time, at equal times the last line."""
        times = log_text.in_order_of_years(self.times)
        order = np.lexsort((times, self.iterations))
        iterations = self.iterations[order]
        last = np.append(iterations[1:] != iterations[:-1], True)[: len(order)]
        return Series(iterations[last], self.values[order][last], times[order][last])


class _Lines:
    """A block of a log, with the positions of its line starts and iteration numbers."""

    def __init__(self, block: bytes) -> None:
        self.text: Text = np.frombuffer(block, np.uint8)
        self._starts = log_text.line_starts(self.text)
        self._brackets = log_text.positions(self.text, b"]")
        self._marks = log_text.after(self.text, b"] Iteration ", self._brackets)

    def values(self, name: bytes) -> Positions:
        """Positions of the values that are displayed as "Iteration 20, NAME = VALUE"."""
        before = b", " + name + b" "
        equals = log_text.positions(self.text, b"=")
        return log_text.after(self.text, before + b"= ", equals - len(before))

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


class Scanner:
    """Reads one log in blocks of whole lines.

    The many lines with a loss are parsed as arrays, only the few lines about tests one by one.

    Attributes:
        losses: of each block.
        rates: learning rates of each block; None unless they are asked for.
        scores: time, iteration and value of each test.
        is_caffe: whether a line so far is one of glog's.
        last_iteration: the highest displayed, tested or saved.
    """

    def __init__(self, names: ScoreNames, rates: bool = False) -> None:
        self.losses: list[Points] = []
        self.rates: list[Points] | None = [] if rates else None
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
        losses = _displayed(lines, b"loss")
        self.losses.append(losses)
        self._reached(int(losses.iterations.max(initial=0)))
        if self.rates is not None:
            self.rates.append(_displayed(lines, b"lr"))
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


def _displayed(lines: _Lines, name: bytes) -> Points:
    """What a block of a log displays of a quantity."""
    at = lines.values(name)
    times, iterations, dated = lines.about(at)
    values, numbers = log_text.numbers(lines.text, at, np.float64)
    good = dated & numbers
    return Points(times[good], iterations[good], values[good])
