"""How far chance reaches: 95 % intervals of accuracies and of their differences.

Two kinds. A *binomial* one comes from the number of validation images: Wilson's interval of one
accuracy, and of a difference Newcombe's, made of two of Wilson's (R. G. Newcombe, Statistics in
Medicine 17, 1998, method 10). It treats two networks as tested on different images; they are tested
on the same ones, on which their errors agree in part, so that the true interval is narrower.
A *Student* one is that of the mean over repeats, of a difference over paired ones.

Repeats of one task (seeds) are tested on the same images, so that they do not show what the choice
of images does: of the two intervals the wider one counts. Repeats over tasks that are drawn by
chance (several random halves) differ in their images too, and count alone; seeds of one task are
averaged first. The tasks of a named split were chosen and are not drawn: the interval of their mean
is made of those of each.

The paper's metric, the mean of the ten highest of a training's tests, rewards noise: accuracies are
a little too high, and their differences less so where networks were tested equally often.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from statistics import fmean, stdev
from typing import Any, NamedTuple

CONFIDENCE = 0.95


class Kind(StrEnum):
    """What an interval comes from."""

    BINOMIAL = "binomial"
    SEEDS = "Student, over seeds"
    TASKS = "Student, over tasks"


class Repeat(NamedTuple):
    """Networks of the same task and seed are compared with each other."""

    task: str
    seed: int


@dataclass(frozen=True)
class Score:
    """Top-1 accuracy (0..1) of one network, and the number of validation images, if known."""

    top1: float
    images: int | None = None


@dataclass(frozen=True)
class Estimate:
    """An accuracy or a difference (1 = 100 %) with its 95 % interval.

    Attributes:
        value: the mean over the tasks of the means over their seeds.
        low, high: None where nothing tells how far chance reaches.
        kind: what the interval comes from.
        repeats: over how many tasks, or of one task over how many seeds.
        images: the fewest validation images of a network in it, None if unknown.
    """

    value: float
    low: float | None = None
    high: float | None = None
    kind: Kind | None = None
    repeats: int = 1
    images: int | None = None

    @property
    def is_positive(self) -> bool | None:
        """Whether the whole interval lies above 0; None without an interval."""
        return None if self.low is None else self.low > 0

    @property
    def is_negative(self) -> bool | None:
        """Whether the whole interval lies below 0; None without an interval."""
        return None if self.high is None else self.high < 0

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def accuracy(scores: Mapping[Repeat, Score], random_tasks: bool = True) -> Estimate:
    """The mean accuracy of one or more repeats of a network."""
    pairs = {repeat: (score, None) for repeat, score in scores.items()}
    return _estimate(pairs, random_tasks)


def difference(pairs: Mapping[Repeat, tuple[Score, Score]], random_tasks: bool = True) -> Estimate:
    """The mean of paired differences: of each pair the first minus the second."""
    return _estimate(pairs, random_tasks)


_Pairs = Mapping[Repeat, tuple[Score, Score | None]]


def _estimate(pairs: _Pairs, random_tasks: bool) -> Estimate:
    tasks: dict[str, dict[Repeat, tuple[Score, Score | None]]] = defaultdict(dict)
    for repeat, pair in pairs.items():
        tasks[repeat.task][repeat] = pair
    of_tasks = [_of_task(list(of_task.values())) for of_task in tasks.values()]
    if len(of_tasks) == 1:
        return of_tasks[0]
    return _over_tasks(of_tasks) if random_tasks else _of_chosen_tasks(of_tasks)


def _over_tasks(tasks: list[Estimate]) -> Estimate:
    means = [task.value for task in tasks]
    value, reach = fmean(means), _student(means)
    images = least(task.images for task in tasks)
    return Estimate(value, value - reach, value + reach, Kind.TASKS, len(means), images)


def _of_chosen_tasks(tasks: list[Estimate]) -> Estimate:
    """The mean over tasks that differ in their images; with the kind of the widest interval."""
    value = fmean(task.value for task in tasks)
    images = least(task.images for task in tasks)
    below, above = [], []
    for task in tasks:
        if task.low is None or task.high is None:
            return Estimate(value, images=images)
        below.append(task.value - task.low)
        above.append(task.high - task.value)
    widest = max(range(len(tasks)), key=lambda i: below[i] + above[i])
    count = len(tasks)
    return Estimate(
        value,
        value - math.hypot(*below) / count,
        value + math.hypot(*above) / count,
        tasks[widest].kind,
        tasks[widest].repeats,
        images,
    )


def _of_task(pairs: list[tuple[Score, Score | None]]) -> Estimate:
    seeds = [first.top1 - (second.top1 if second else 0) for first, second in pairs]
    value = fmean(seeds)
    firsts = [first for first, _ in pairs]
    seconds = [second for _, second in pairs if second]
    images = _fewest([*firsts, *seconds])
    found: list[tuple[float, float, Kind]] = []
    if images is not None:
        below, above = _binomial(firsts, seconds)
        found.append((value - below, value + above, Kind.BINOMIAL))
    if len(seeds) > 1:
        reach = _student(seeds)
        found.append((value - reach, value + reach, Kind.SEEDS))
    if not found:
        return Estimate(value, repeats=len(seeds))
    low, high, kind = max(found, key=lambda interval: interval[1] - interval[0])
    return Estimate(value, low, high, kind, len(seeds), images)


def least(counts: Iterable[int | None]) -> int | None:
    """The smallest number, None if one is unknown."""
    counts = list(counts)
    known = [count for count in counts if count is not None]
    return min(known) if len(known) == len(counts) else None


def _fewest(scores: list[Score]) -> int | None:
    """The fewest images; None where they are unknown, or a score is no share of right answers."""
    return least(score.images if 0 <= score.top1 <= 1 else None for score in scores)


def _student(values: list[float]) -> float:
    """Half the width of Student's interval of a mean."""
    from scipy.stats import t  # here, since it takes as long to import as the rest of the report

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def _binomial(firsts: list[Score], seconds: list[Score]) -> tuple[float, float]:
    """How far the interval of the mean reaches below and above it.

    Seeds share their images, so that their mean stands on no more of them than one does.
    """
    below, above = _wilson_of_mean(firsts)
    if seconds:
        below_second, above_second = _wilson_of_mean(seconds)
        return math.hypot(below, above_second), math.hypot(above, below_second)
    return below, above


def _wilson_of_mean(scores: list[Score]) -> tuple[float, float]:
    images = _fewest(scores)
    assert images is not None
    mean = fmean(score.top1 for score in scores)
    below, above = _wilson(round(mean * images), images)
    return min(below, mean), min(above, 1 - mean)  # of few images, the count is far from the mean


@cache
def _wilson(right: int, images: int) -> tuple[float, float]:
    """How far Wilson's interval of a share reaches below and above it."""
    from scipy.stats import binomtest

    interval = binomtest(right, images).proportion_ci(CONFIDENCE, method="wilson")
    share = right / images
    # At 0 and 1 rounding can put a bound a hair inside of the share itself.
    return max(0.0, share - float(interval.low)), max(0.0, float(interval.high) - share)
