"""The progress of networks that are trained elsewhere, read from the logs in their folders."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.paths import RunFolder
from caffe_transfer.report.logs import Follower, log_files
from caffe_transfer.training.executor import Executor, JobResult
from caffe_transfer.training.preflight import load_network
from caffe_transfer.training.train import OnProgress, TrainingProgress, progress_of

LOOK_SECONDS = 5.0


class FollowedExecutor:
    """An executor that also reports progress, which schedulers know nothing of.

    Args:
        executor: trains the networks.
        report: called with each network's progress, from the thread that calls `ended`.
    """

    def __init__(self, executor: Executor, folder: RunFolder, report: OnProgress) -> None:
        self._executor, self._folder, self._report = executor, folder, report
        self.waits_for_bases = executor.waits_for_bases
        self._followed: dict[str, _Followed] = {}
        self._looked = time.monotonic()

    def room(self) -> bool:
        """As the executor says."""
        return self._executor.room()

    def submit(self, name: str, after: Sequence[str]) -> None:
        """Submit a network, and follow the logs that are written from now on."""
        self._executor.submit(name, after)
        self._followed[name] = _Followed(self._folder.network(name).root)

    def ended(self) -> list[JobResult]:
        """The results of those that have ended; now and then, the progress of the others."""
        results = self._executor.ended()
        for result in results:
            self._followed.pop(result.name, None)
        if time.monotonic() >= self._looked + LOOK_SECONDS:
            for each in self._followed.values():
                if progress := each.progress():
                    self._report(progress)
            self._looked = time.monotonic()
        return results

    def cancel(self) -> None:
        """Have the executor end all jobs."""
        self._executor.cancel()

    def close(self) -> None:
        """Close the executor."""
        self._executor.close()


class _Followed:
    """The newest log of a network, of which each look reads what has been added."""

    def __init__(self, root: Path) -> None:
        self._root, self._start = root, time.time()
        self._max_iter: int | None = None
        self._log: Path | None = None
        self._follower, self._read = Follower(), 0
        self._first: tuple[float, int] | None = None

    def progress(self) -> TrainingProgress | None:
        """How far it is; None if no log has grown since the last look."""
        with suppress(OSError, CaffeTransferError):  # a network's files may come and go
            return self._look()
        return None

    def _look(self) -> TrainingProgress | None:
        if self._max_iter is None:
            self._max_iter = load_network(self._root).solver.max_iter
        newest = max(log_files(self._root), key=lambda path: path.stat().st_mtime, default=None)
        # The job's clock may differ from ours a little.
        if newest is None or newest.stat().st_mtime < self._start - LOOK_SECONDS:
            return None
        if newest != self._log:
            self._log, self._follower, self._read, self._first = newest, Follower(), 0, None
        with newest.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        if not data:
            return None
        self._read += len(data)
        self._follower.feed(data)
        return self._made(self._max_iter)

    def _made(self, max_iter: int) -> TrainingProgress:
        follower, now = self._follower, time.monotonic()
        if self._first is None:
            self._first = now, follower.iteration
        start, first = self._first
        return progress_of(self._root.name, max_iter, follower, first, now - start)
