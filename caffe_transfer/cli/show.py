"""Output of long commands: progress bars in a terminal, plain lines elsewhere; and tables."""

import math
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import Estimate
from caffe_transfer.studies.study import Study
from caffe_transfer.training.schedule import JobResult, Outcome
from caffe_transfer.training.status import State, Status
from caffe_transfer.training.train import TrainingProgress

COLOURS = {
    State.DONE: "green", State.TRAINING: "cyan", State.STOPPED: "yellow", State.BROKEN: "red",
}  # fmt: skip


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

    def network(self, progress: TrainingProgress) -> None:
        """Show the progress of a network's training."""
        with self._lock:
            self._bars.update(
                self._task(progress.name, progress.max_iter),
                completed=progress.iteration,
                note=training_note(progress),
            )

    def ended(self, result: JobResult) -> None:
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


def training_note(progress: TrainingProgress) -> str:
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


def ended_table(results: Sequence[JobResult], out: Path) -> None:
    """Print the networks that are not trained, and where the results are."""
    console = Console(stderr=True, highlight=False)
    done = sum(result.outcome is Outcome.DONE for result in results)
    console.print(f"{done} of {len(results)} networks are trained")
    for result in results:
        if result.outcome is not Outcome.DONE:
            console.print(f"  {result.name} {result.outcome}: {result.reason}", markup=False)
    report = RunFolder(out).report
    if report.is_dir():
        console.print(f"results, tables and figures: {report}", markup=False)


def plan_table(study: Study, names: Sequence[str], cost: Estimate, jobs: int) -> None:
    """Print what a run would do: its networks in order, and their cost."""
    console = Console(highlight=False)
    console.print(study.about, markup=False)
    console.print()
    networks = {network.name: network for network in study.networks}
    table = Table("", "network", "base", "trained on", "outputs", "iterations", box=None)
    for number, name in enumerate(names, 1):
        network = networks[name]
        table.add_row(
            str(number),
            name,
            network.base_name or "-",
            network.train_data,
            str(study.outputs(network)),
            str(study.solver_of(network).max_iter),
        )
    console.print(table)
    console.print()
    console.print(f"disk: databases {size(cost.data_bytes)}, snapshots {size(cost.snapshot_bytes)}")
    if cost.seconds is None:
        console.print("time: unknown; the study gives no seconds_per_iteration")
    else:
        console.print(f"time: about {duration(cost.seconds / jobs)} with {jobs} jobs at once")


def status_table(rows: Iterable[Status]) -> None:
    """Print the state of every network."""
    table = Table("network", "state", "iteration", "loss", "accuracy", "left", box=None)
    for row in rows:
        colour = COLOURS.get(row.state, "default")
        table.add_row(
            row.name,
            f"[{colour}]{row.state}[/]",
            f"{row.iteration}/{row.max_iter}" if row.max_iter else "-",
            "-" if row.loss is None else f"{row.loss:.3f}",
            "-" if row.accuracy is None else f"{row.accuracy:.1%}",
            row.problem or ("-" if row.seconds_left is None else duration(row.seconds_left)),
        )
    Console(highlight=False).print(table)
