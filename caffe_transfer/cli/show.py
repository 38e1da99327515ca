"""Output of long commands: progress bars in a terminal, plain lines elsewhere."""

import math
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from caffe_transfer.units import duration

if TYPE_CHECKING:
    from caffe_transfer.training.schedule import JobResult
    from caffe_transfer.training.train import TrainingProgress


LINE_SECONDS = 30  # between lines of one step where there is no terminal


class Screen:
    """Progress of steps and trainings; a context manager that is safe to call from threads."""

    def __init__(self, total: int) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )
        self._live = Live(self._bars, console=self.console, refresh_per_second=4)
        self._tasks: dict[str, TaskID] = {}
        self._paces: dict[str, Pace] = {}
        self._total = total
        self._ended = 0

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self.console.print(text, markup=False, soft_wrap=True)

    def step(self, step: str, done: int, total: int) -> None:
        """Show a step of preparing images: its pace, and a line when it is done.

        In a terminal it has a bar, elsewhere a line every half a minute.
        """
        with self._lock:
            task = self._task(step, total)
            pace = self._paces.setdefault(step, Pace(done))
            note = pace.note(done, total)
            self._bars.update(task, completed=done, total=total, note=note)
            if done >= total:
                self._drop(step)
                del self._paces[step]
                self.say(f"{step}: {total}")
            elif not self.console.is_terminal and pace.is_line_due():
                self.say(f"{step}: {done} of {total}{'  ' if note else ''}{note}")

    def network(self, progress: "TrainingProgress") -> None:
        """Show the progress of a network's training."""
        with self._lock:
            self._bars.update(
                self._task(progress.name, progress.max_iter),
                completed=progress.iteration,
                note=training_note(progress),
            )

    def ended(self, result: "JobResult") -> None:
        """Print the result of a network's job."""
        with self._lock:
            self._drop(result.name)
            self._ended += 1
            reason = f": {result.reason}" if result.reason else ""
            self.say(f"[{self._ended}/{self._total}] {result.name} {result.outcome}{reason}")

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note="")
        return self._tasks[name]

    def _drop(self, name: str) -> None:
        if name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))


class Pace:
    """How fast a step goes since this run has begun it.

    Args:
        first: what an earlier run has done of it.
    """

    def __init__(self, first: int) -> None:
        self._first, self._start = first, time.monotonic()
        self._line = self._start

    def note(self, done: int, total: int) -> str:
        """ "955/s  20 min left"; empty before much can be said."""
        seconds = time.monotonic() - self._start
        if seconds < 1 or done <= self._first:
            return ""
        rate = (done - self._first) / seconds
        return f"{rate:.{0 if rate >= 10 else 1}f}/s  {duration((total - done) / rate)} left"

    def is_line_due(self) -> bool:
        """Whether the last line is some time ago."""
        due = time.monotonic() - self._line >= LINE_SECONDS
        if due:
            self._line = time.monotonic()
        return due


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
