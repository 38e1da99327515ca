"""Output of long commands: progress bars in a terminal, plain lines elsewhere."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from caffe_transfer.units import duration, size

if TYPE_CHECKING:
    from caffe_transfer.training.schedule import JobResult
    from caffe_transfer.training.train import TrainingProgress


# Between lines of one step where there is no terminal: a share of the time that it has taken, so
# that a training of weeks does not fill its log, and these at least and at most.
LINE_SECONDS = 30
_LINE_SHARE = 1 / 20
_MOST_LINE_SECONDS = 3600
_BAR_WIDTH = 24
_ALL = "all networks"


class Screen:
    """Progress of steps and trainings; a context manager that is safe to call from threads.

    Args:
        total: the number of networks.
        stop: set when the user wishes to stop, which is told once.
    """

    def __init__(self, total: int, stop: threading.Event | None = None) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, table_column=Column(max_width=_BAR_WIDTH)),
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True)),
            console=self.console,
        )
        self._live = Live(self._bars, console=self.console, refresh_per_second=4)
        self._tasks: dict[str, TaskID] = {}
        self._paces: dict[str, Pace] = {}
        self._clocks: dict[str, LineClock] = {}
        self._total = total
        self._ended = 0
        self._all: Overall | None = None
        self._stop = stop or threading.Event()
        self._told = False

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._tasks):
            self._drop(name)
        if self.console.is_terminal:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self.console.print(text, markup=False, soft_wrap=not self.console.is_terminal)

    def expect(self, left: Mapping[str, int]) -> None:
        """Show the progress of all networks as well.

        Args:
            left: the iterations that each network lacks, of those that are to be trained.
        """
        self._all = Overall(left)

    def step(self, step: str, done: int, total: int, amount: Callable[[int], str] = str) -> None:
        """Show a step of long work: its pace, and a line when it is done.

        In a terminal it has a bar, elsewhere a line now and then.

        Args:
            amount: how to write what is done, and what is to be done.
        """
        with self._lock:
            pace = self._paces.setdefault(step, Pace(done))
            note = pace.note(done, total, amount)
            self._show(step, done, total, f"{amount(done)}/{amount(total)}  {note}")
            if done >= total:
                self._drop(step)
                del self._paces[step]
                self.say(f"{step}: {amount(total)}")
            elif self._is_line_due(step):
                said = f"{step}: {amount(done)} of {amount(total)}"
                self.say(f"{said}{'  ' if note else ''}{note}")

    def reading(self, done: int, total: int, name: str) -> None:
        """Show how many networks' logs are read, before that of `name`."""
        self.step("reading logs", done, total)

    def comparing(self, done: int, total: int, *, say_end: bool) -> None:
        """Show how many bytes are compared.

        Args:
            say_end: print a line at the end, too.
        """
        if say_end or done < total:
            self.step("comparing", done, total, size)

    def network(self, progress: "TrainingProgress") -> None:
        """Show the progress of a network's training: a bar, or a line now and then."""
        with self._lock:
            self._tell_stop()
            name, note = progress.name, training_note(progress)
            if self._all is not None:
                self._all.progress(progress)
                self._show_all()
            share = f"{progress.iteration / progress.max_iter:4.0%}"
            self._show(name, progress.iteration, progress.max_iter, f"{share}  {note}")
            if self._is_line_due(name):
                self.say(f"{name}: {progress.iteration} of {progress.max_iter}  {note}")

    def ended(self, result: "JobResult") -> None:
        """Print the result of a network's job, except of those that a stop leaves untouched."""
        with self._lock:
            was_training = result.name in self._tasks
            self._drop(result.name)
            stopped = result.outcome == "stopped"
            untouched = self._stop.is_set() and result.outcome == "skipped"
            self._ended += not (stopped or untouched)
            if self._all is not None:
                self._all.ended(result.name, result.outcome == "done")
                self._show_all()
            if stopped or untouched:
                if was_training:
                    self.say(f"{result.name} {result.reason.partition(';')[0]}")
                return
            reason = f": {result.reason}" if result.reason else ""
            self.say(f"[{self._ended}/{self._total}] {result.name} {result.outcome}{reason}")

    def _show_all(self) -> None:
        """Keep the line of all networks up to date."""
        assert self._all is not None
        done, total, seconds = self._all.done, self._all.total, self._all.seconds_left()
        if self._total < 2 or done >= total:
            self._drop(_ALL)
            return
        ended = f"{self._ended} of {self._total}"
        left = "" if seconds is None else f"{duration(seconds)} left"
        self._show(_ALL, done, total, f"{done / total:4.0%}  {ended} ended  {left}")
        if self._is_line_due(_ALL):
            self.say(f"{_ALL}: {ended} ended{'  ' if left else ''}{left}")

    def _tell_stop(self) -> None:
        if self._stop.is_set() and not self._told:
            self.say("stopping: the networks in training write snapshots")
            self._told = True

    def _is_line_due(self, name: str) -> bool:
        if self.console.is_terminal:
            return False
        return self._clocks.setdefault(name, LineClock()).is_due()

    def _show(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note="")
        self._bars.update(self._tasks[name], completed=done, total=total, note=note)

    def _drop(self, name: str) -> None:
        self._clocks.pop(name, None)
        if name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))


class LineClock:
    """When the next line about a long step is due."""

    def __init__(self) -> None:
        self._start = self._line = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last line is some time ago."""
        now = time.monotonic()
        pause = min(_MOST_LINE_SECONDS, max(LINE_SECONDS, (now - self._start) * _LINE_SHARE))
        due = now - self._line >= pause
        if due:
            self._line = now
        return due


class Pace:
    """How fast a step goes since this run has begun it.

    Args:
        first: what an earlier run has done of it.
    """

    def __init__(self, first: int) -> None:
        self._first, self._start = first, time.monotonic()

    def note(self, done: int, total: int, amount: Callable[[int], str] = str) -> str:
        """ "955/s  20 min left"; empty before much can be said."""
        seconds = time.monotonic() - self._start
        if seconds < 1 or done <= self._first:
            return ""
        rate = (done - self._first) / seconds
        pace = amount(round(rate)) if rate >= 10 else f"{rate:.1f}"
        return f"{pace}/s  {duration((total - done) / rate)} left"


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


def training_note(progress: "TrainingProgress") -> str:
    """Format loss, accuracy and remaining time, as far as they are known."""
    parts = []
    if not math.isnan(progress.loss):
        parts.append(f"loss {progress.loss:.3f}")
    if not math.isnan(progress.accuracy):
        parts.append(f"accuracy {progress.accuracy:.1%}")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return "  ".join(parts)
