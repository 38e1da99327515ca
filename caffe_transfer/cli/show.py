"""Output of long commands: progress bars in a terminal, plain lines elsewhere."""

import math
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from caffe_transfer.training.schedule import JobResult
    from caffe_transfer.training.train import TrainingProgress


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
        self._total = total
        self._ended = 0

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self.console.print(text, markup=False)

    def step(self, step: str, done: int, total: int) -> None:
        """Show a step of preparing images: a bar in a terminal, and a line when it is done."""
        with self._lock:
            task = self._task(step, total)
            self._bars.update(task, completed=done, total=total)
            if done >= total:
                self._drop(step)
                self.say(f"{step}: {total}")

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


def duration(seconds: float) -> str:
    """Format a duration for reading: 42 s, 11 min, 3.5 h, 9.5 days."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.{0 if unit == 'min' else 1}f} {unit}"
    return f"{seconds:.0f} s"


def size(count: int | None) -> str:
    """Format a number of bytes for reading: 233.0 MB."""
    if count is None:
        return "unknown"
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
