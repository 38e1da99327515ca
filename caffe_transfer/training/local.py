"""Trains networks on this machine, each in a thread that waits for its engine."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from caffe_transfer.errors import Busy, CaffeTransferError, EngineError, Interrupted
from caffe_transfer.training.devices import Devices
from caffe_transfer.training.executor import NOT_BEGUN, JobResult, Outcome
from caffe_transfer.training.failure import may_pass
from caffe_transfer.training.train import OnProgress, Settings, train_network

BUSY_RETRY_SECONDS = 1.0
_WAIT_SECONDS = 0.5


class LocalExecutor:
    """`executor.Executor` for this machine.

    A network that another process is training is waited for.  A device on which networks fail at
    once is retired, and its networks are given to others.

    Args:
        results: the folder that holds the networks' folders.
        slots: the settings of each of the networks that are trained at once, see `slots`.
        report: called with each network's progress, from several threads.
        stop: set it to end all training.
        make: makes what a network reads; called in the thread that trains it.
        say: called with a sentence on a device that is retired.
    """

    waits_for_bases = False

    def __init__(
        self,
        results: Path,
        slots: Sequence[Settings],
        report: OnProgress,
        stop: threading.Event,
        make: Callable[[str], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._results, self._report, self._stop = results, report, stop
        self._make, self._say = make, say
        self._free = list(slots)
        self._devices = Devices([slot.gpu for slot in slots])
        self._pool = ThreadPoolExecutor(len(slots))
        self._running: dict[Future[JobResult], Settings] = {}
        self._queue: list[str] = []  # those for whom no fit slot is free

    def room(self) -> bool:
        """Whether a slot is free."""
        return any(slot.gpu in self._devices.left for slot in self._free)

    def submit(self, name: str, after: Sequence[str]) -> None:
        """Train a network, whose bases are done, in a free slot, or the next that fits it."""
        self._queue.append(name)
        self._start()

    def ended(self) -> list[JobResult]:
        """Wait a little; the results of those that have ended.

        Raises:
            EngineError: all devices are retired.
        """
        # The timeout lets signals through to the main thread.
        finished, _ = wait(self._running, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        results = [self._end(future) for future in finished]
        if self._stop.is_set():
            results += [JobResult(name, Outcome.STOPPED, NOT_BEGUN) for name in self._queue]
            self._queue.clear()
        self._start()
        if not self._devices.left and not self._running:
            raise EngineError(
                "no device is left that trains networks; see what is said of each above, and run "
                "the same command again when it is mended"
            )
        return [result for result in results if result is not None]

    def cancel(self) -> None:
        """Have the engines write snapshots and end."""
        self._stop.set()

    def close(self) -> None:
        """Wait until all threads have ended."""
        self._pool.shutdown()

    def _start(self) -> None:
        for name in list(self._queue):
            slot = self._slot(name)
            if slot is not None:
                self._queue.remove(name)
                self._free.remove(slot)
                self._devices.begin(name, slot.gpu)
                self._running[self._pool.submit(self._train, self._results / name, slot)] = slot

    def _slot(self, name: str) -> Settings | None:
        """A free slot, of a device on which the network has not failed if there is one."""
        fit = self._devices.others(name) or self._devices.left
        return next((slot for slot in self._free if slot.gpu in fit), None)

    def _end(self, future: Future[JobResult]) -> JobResult | None:
        """Note the end of a network; None if it is given to another device."""
        self._free.append(self._running.pop(future))
        result = future.result()
        end = self._devices.end(result)
        for sentence in end.retired:
            self._say(sentence)
        if end.is_moved and not self._stop.is_set():
            self._queue.append(result.name)
            return None
        return result

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
                return JobResult(root.name, Outcome.FAILED, str(error), may_pass(error))
        return JobResult(root.name, Outcome.STOPPED, NOT_BEGUN)


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
