"""Output of long commands: progress bars in a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from caffe_transfer.cli.networks import Networks, training_note
from caffe_transfer.cli.rows import Row, rendered
from caffe_transfer.cli.run_log import RunLog
from caffe_transfer.errors import printable
from caffe_transfer.units import duration, size

if TYPE_CHECKING:
    from caffe_transfer.training.executor import JobResult
    from caffe_transfer.training.train import TrainingProgress


# Between lines of one step where there is no terminal: a share of the time that it has taken, so
# that a training of weeks does not fill its log, and these at least and at most.
LINE_SECONDS = 30
_LINE_SHARE = 1 / 20
_MOST_LINE_SECONDS = 3600
_TRAINING = "networks"  # what the line of all networks is due as
_LINES_KEPT_FREE = 4  # of a terminal, above what is kept up to date


class Screen:
    """Progress of steps and trainings; a context manager that is safe to call from threads.

    A run of many networks has one line for all of them, which is kept up to date in a terminal and
    printed now and then elsewhere; a network has a line of its own where it fails.

    Args:
        total: the number of networks.
        stop: set when the user wishes to stop, which is told once.
        log: gets all lines, and one for each network that ends.
    """

    def __init__(
        self, total: int, stop: threading.Event | None = None, log: RunLog | None = None
    ) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._steps: dict[str, Row] = {}
        self._paces: dict[str, Pace] = {}
        self._clocks: dict[str, LineClock] = {}
        self._networks = Networks(total)
        self._stop, self._log = stop or threading.Event(), log or RunLog()
        self._told = False
        self._live = Live(
            console=self.console, refresh_per_second=4, get_renderable=self._view, transient=True
        )

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Print one line above the bars."""
        self._log.write(text)
        self._print(text, style)

    def expect(self, left: Mapping[str, int]) -> None:
        """Reckon with the iterations that each network lacks, of those that are to be trained."""
        with self._lock:
            self._networks.expect(left)

    def step(self, step: str, done: int, total: int, amount: Callable[[int], str] = str) -> None:
        """Show a step of long work: its pace, and a line when it is done.

        In a terminal it has a bar, elsewhere a line now and then.

        Args:
            amount: how to write what is done, and what is to be done.
        """
        with self._lock:
            pace = self._paces.setdefault(step, Pace(done))
            note = pace.note(done, total, amount)
            self._steps[step] = Row(step, done, total, [f"{amount(done)}/{amount(total)}", note])
            if done >= total:
                del self._steps[step], self._paces[step]
                self._clocks.pop(step, None)
                self.say(f"{step}: {amount(total)}")
            elif not self.console.is_terminal and self._is_line_due(step):
                said = f"{step}: {amount(done)} of {amount(total)}"
                self._print(f"{said}{'  ' if note else ''}{note}")

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
        """Show the progress of a network's training."""
        with self._lock:
            self._tell_stop()
            self._networks.progress(progress)
            if not self._is_line_due(_TRAINING):
                return
            if self._networks.total == 1:
                done = f"{progress.iteration} of {progress.max_iter}"
                line = f"{progress.name}: {done}  {training_note(progress)}"
            else:
                line = self._networks.line()
            self._log.write(line)
            if not self.console.is_terminal:
                self._print(line)

    def ended(self, result: "JobResult") -> None:
        """Note the result of a network's job; print why it failed, or that it was stopped."""
        with self._lock:
            was_training = self._networks.end(result)
            reason = f": {result.reason}" if result.reason else ""
            if result.outcome == "failed":
                self.say(f"{result.name} failed{reason}", "red")
            elif result.outcome == "stopped" and was_training:
                self.say(f"{result.name} {result.reason.partition(';')[0]}")
            else:
                self._log.write(f"{result.name} {result.outcome}{reason}")

    def failed(self, result: "JobResult") -> None:
        """Print why a network failed that is tried again."""
        with self._lock:
            self._networks.again(result.name)
            self.say(f"{result.name} is tried again, since it failed: {result.reason}", "yellow")

    def _view(self) -> RenderableType:
        """What is kept up to date: steps, networks in training, the line of all networks.

        Called by a thread that holds the display, for which one that prints waits with our lock:
        hence without it, by copies that are made at one go.
        """
        width, height = self.console.size
        steps = list(self._steps.values())
        rows, rest = self._networks.rows(height - len(steps) - _LINES_KEPT_FREE)
        rows = [*steps, *rows]
        parts: list[RenderableType] = [rendered(rows, width)] if rows else []
        parts += [Text(rest, style="dim")] if rest else []
        if self._networks.total > 1 and self._networks.is_begun:
            parts.append(Text(self._networks.summary(), style="bold"))
        return Group(*parts)

    def _print(self, text: str, style: str = "") -> None:
        soft_wrap = not self.console.is_terminal
        self.console.print(printable(text), markup=False, soft_wrap=soft_wrap, style=style or None)

    def _tell_stop(self) -> None:
        if self._stop.is_set() and not self._told:
            self.say("stopping: the networks in training write snapshots")
            self._told = True

    def _is_line_due(self, name: str) -> bool:
        return self._clocks.setdefault(name, LineClock()).is_due()


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
