"""How far the networks of a run are, for one line that says it, and one for each in training."""

import math
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from caffe_transfer.cli.rows import Row
from caffe_transfer.units import duration

if TYPE_CHECKING:
    from caffe_transfer.training.executor import JobResult
    from caffe_transfer.training.train import TrainingProgress

_MOST_NAMED = 4  # of those in training, in one line


class Networks:
    """The networks of a run, by what is told of them.

    Args:
        total: how many there are.

    Attributes:
        ended: how many have a result, by outcome.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended: Counter[str] = Counter()
        self._training: dict[str, TrainingProgress] = {}
        self._overall: Overall | None = None

    @property
    def is_begun(self) -> bool:
        """Whether something was told of one of them."""
        return bool(self._training or self.ended)

    def expect(self, left: Mapping[str, int]) -> None:
        """Reckon with the iterations that each network lacks, of those that are to be trained."""
        self._overall = Overall(left)

    def progress(self, progress: "TrainingProgress") -> None:
        """A network is in training."""
        self._training[progress.name] = progress
        if self._overall is not None:
            self._overall.progress(progress)

    def again(self, name: str) -> None:
        """A network has failed, and is tried again."""
        self._training.pop(name, None)

    def end(self, result: "JobResult") -> bool:
        """A network has a result; returns whether it was in training."""
        self.ended[result.outcome] += 1
        if self._overall is not None:
            self._overall.ended(result.name, result.outcome == "done")
        return self._training.pop(result.name, None) is not None

    def summary(self) -> str:
        """ "12 of 170 trained, 4 in training, 1 failed, 3.2 h left"."""
        parts = [f"{self.ended['done']} of {self.total} trained"]
        for count, what in (
            (len(self._training), "in training"),
            (self.ended["failed"], "failed"),
            (self.ended["skipped"], "lack their base"),
        ):
            parts += [f"{count} {what}"] if count else []
        seconds = self._overall.seconds_left() if self._overall else None
        parts += [f"{duration(seconds)} left"] if seconds else []
        return ", ".join(parts)

    def line(self) -> str:
        """The summary, and the first of those in training."""
        named = [
            f"{each.name} {each.iteration / each.max_iter:.0%}"
            for each in list(self._training.values())[:_MOST_NAMED]
        ]
        more = len(self._training) - len(named)
        return "".join(
            [
                self.summary(),
                f": {', '.join(named)}" if named else "",
                f" and {more} more" if more else "",
            ]
        )

    def rows(self, most: int) -> tuple[list[Row], str]:
        """A row for each network in training, and what is said of those beyond so many."""
        training = list(self._training.values())
        shown = training[: max(1, most)]
        rest = len(training) - len(shown)
        return list(map(row, shown)), f"and {rest} more in training" if rest else ""


def row(progress: "TrainingProgress") -> Row:
    """A network's share, time left, loss and accuracy, as far as they are known."""
    notes = [f"{progress.iteration / progress.max_iter:4.0%}"]
    if progress.seconds_left is not None:
        notes.append(f"{duration(progress.seconds_left)} left")
    notes += _scores(progress)
    return Row(progress.name, progress.iteration, progress.max_iter, notes)


def training_note(progress: "TrainingProgress") -> str:
    """Loss, accuracy and remaining time, as far as they are known."""
    left = progress.seconds_left
    return "  ".join([*_scores(progress), *([] if left is None else [f"{duration(left)} left"])])


def _scores(progress: "TrainingProgress") -> list[str]:
    found = []
    if not math.isnan(progress.loss):
        found.append(f"loss {progress.loss:.3f}")
    if not math.isnan(progress.accuracy):
        found.append(f"accuracy {progress.accuracy:.1%}")
    return found


class Overall:
    """How far all networks of a run are, and how fast they go since it has begun to train.

    Attributes:
        total: the iterations that are to be trained.
        done: of these.
    """

    def __init__(self, left: Mapping[str, int]) -> None:
        self._left = dict(left)
        self._start: float | None = None
        self.total = sum(left.values())
        self.done = 0

    def progress(self, progress: "TrainingProgress") -> None:
        """Count what a network in training has done."""
        if self._start is None:
            self._start = time.monotonic()
        self._count(progress.name, progress.max_iter - progress.iteration)

    def ended(self, name: str, trained: bool) -> None:
        """Count the rest of a trained network as done, and that of another one no more."""
        if trained:
            self._count(name, 0)
        self.total -= self._left.pop(name, 0)

    def seconds_left(self) -> float | None:
        """At the pace so far; None before much can be said."""
        if self._start is None or self.done == 0:
            return None
        return (time.monotonic() - self._start) / self.done * (self.total - self.done)

    def _count(self, name: str, left: int) -> None:
        before = self._left.get(name, 0)
        self._left[name] = min(before, left)
        self.done += before - self._left[name]
