"""Trains networks on this machine, each in a thread that waits for its engine."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from caffe_transfer.errors import Busy, CaffeTransferError, EngineError, Interrupted
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.train import OnProgress, Settings, train_network

BUSY_RETRY_SECONDS = 1.0
_WAIT_SECONDS = 0.5


class LocalExecutor:
    """`executor.Executor` for this machine.

    A network that another process is training is waited for.

    Args:
        results: the folder that holds the networks' folders.
        slots: the settings of each of the networks that are trained at once, see `slots`.
        report: called with each network's progress, from several threads.
        stop: set it to end all training.
        make: makes what a network reads; called in the thread that trains it.
    """

    waits_for_bases = False

    def __init__(
        self,
        results: Path,
        slots: Sequence[Settings],
        report: OnProgress,
        stop: threading.Event,
        make: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._results, self._report, self._stop, self._make = results, report, stop, make
        self._free: queue.SimpleQueue[Settings] = queue.SimpleQueue()
        for slot in slots:
            self._free.put(slot)
        self._jobs = len(slots)
        self._pool = ThreadPoolExecutor(self._jobs)
        self._futures: set[Future[JobResult]] = set()

    def room(self) -> bool:
        """Whether a slot is free."""
        return len(self._futures) < self._jobs

    def submit(self, name: str, after: Sequence[str]) -> None:
        """Train a network, whose bases are done, in the next free slot."""
        self._futures.add(self._pool.submit(self._work, name))

    def ended(self) -> list[JobResult]:
        """Wait a little; the results of those that have ended."""
        # The timeout lets signals through to the main thread.
        finished, self._futures = wait(
            self._futures, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED
        )
        return [future.result() for future in finished]

    def cancel(self) -> None:
        """Have the engines write snapshots and end."""
        self._stop.set()

    def close(self) -> None:
        """Wait until all threads have ended."""
        self._pool.shutdown()

    def _work(self, name: str) -> JobResult:
        slot = self._free.get()
        try:
            return self._train(self._results / name, slot)
        finally:
            self._free.put(slot)

    def _train(self, root: Path, settings: Settings) -> JobResult:
        while not self._stop.is_set():
            try:
                self._make(root.name)
                train_network(root, settings, self._report, self._stop)
                return JobResult(root.name, Outcome.DONE)
            except Busy:
                self._stop.wait(BUSY_RETRY_SECONDS)
            except Interrupted as error:
                return JobResult(root.name, Outcome.STOPPED, str(error))
            except CaffeTransferError as error:
                may_pass = isinstance(error, EngineError)
                return JobResult(root.name, Outcome.FAILED, str(error), may_pass)
        return JobResult(root.name, Outcome.STOPPED, "stopped before its turn")


def slots(settings: Settings, jobs: int, gpus: Sequence[str]) -> list[Settings]:
    """The settings of each of the networks that are trained at once: they share the devices.

    Args:
        gpus: devices, of which each network in training holds one; () leaves it to the settings.
    """
    if not gpus:
        return [settings] * jobs
    return [replace(settings, gpu=gpus[slot % len(gpus)]) for slot in range(jobs)]


def threads_for(jobs: int) -> int:
    """Return the number of BLAS threads for each of `jobs` concurrent trainings."""
    return max(1, len(os.sched_getaffinity(0)) // jobs)
