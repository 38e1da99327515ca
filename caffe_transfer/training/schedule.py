"""Trains the networks of a study in the order of their dependencies, several at once."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Protocol

from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.studies.study import Study
from caffe_transfer.training.executor import NOT_BEGUN, Executor, JobResult, Outcome, skipped

RETRIES = 1  # of a network that fails by itself


def graph(study: Study) -> dict[str, tuple[str, ...]]:
    """Map each network's name to the names of those that must be trained before it.

    Raises:
        BadInput: a base is not among the networks, or a network occurs twice.
    """
    names = [network.name for network in study.networks]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"the study names the network {twice} twice; leave one out")
    needs: dict[str, tuple[str, ...]] = {
        network.name: (network.base_name,)
        if network.base_name and not study.given_base(network)
        else ()
        for network in study.networks
    }
    for name, bases in needs.items():
        for base in bases:
            if base not in needs:
                raise BadInput(
                    f"network {name} needs its base {base}, which the study does not train; add "
                    "a group of mode base for it"
                )
    return needs


def order(study: Study) -> list[str]:
    """Return the networks' names, bases first, otherwise in the order of the study."""
    return list(TopologicalSorter(graph(study)).static_order())


class Turns(Protocol):
    """Which network starts next, and what is made for it beforehand."""

    def start(self, ready: Collection[str]) -> str | None:
        """Choose one of those whose bases are done; None to wait until another has ended.

        If none is in training, one is chosen.
        """

    def make(self, name: str) -> None:
        """Make what a network reads; called where it is trained, several at once.

        Raises:
            Interrupted: stopped on request.
            CaffeTransferError: it cannot be made; the network is not trained then.
        """

    def end(self, result: JobResult) -> None:
        """Note the result of a network, chosen or not."""


class Retries:
    """Networks that failed by themselves and are tried again.

    Args:
        most: how often each may be.
        heard: called with each failure that is followed by another try.
    """

    def __init__(self, most: int, heard: Callable[[JobResult], None] = lambda _: None) -> None:
        self._most, self._heard = most, heard
        self._count: Counter[str] = Counter()

    def another(self, result: JobResult) -> bool:
        """Whether a network is tried again; it is counted."""
        if not result.may_pass or self._count[result.name] >= self._most:
            return False
        self._count[result.name] += 1
        self._heard(result)
        return True


class InOrder:
    """Networks start as soon as their bases are done; all that they read is there."""

    def start(self, ready: Collection[str]) -> str | None:
        return next(iter(ready))

    def make(self, name: str) -> None:
        pass

    def end(self, result: JobResult) -> None:
        pass


def run_all(
    needs: Mapping[str, Sequence[str]],
    executor: Executor,
    *,
    ended: Callable[[JobResult], None],
    stop: threading.Event,
    turns: Turns | None = None,
    retries: Retries | None = None,
) -> list[JobResult]:
    """Have an executor train networks, bases first; a failure does not stop the others.

    A network whose base failed is skipped.  Any error other than the library's own, and Ctrl-C,
    cancels the jobs before it is raised, so that the networks in training write a snapshot and
    end.  The executor is closed at the end.

    Args:
        needs: as returned by `graph`.
        ended: called with each result, from the calling thread.
        stop: set it to end all training.
        turns: chooses what starts next; by default the first whose bases are done.
        retries: by default none.

    Returns:
        One result per network, in the order of `needs`.
    """
    run = _Run(needs, executor, ended, stop, turns or InOrder(), retries or Retries(0))
    try:
        run.to_end()
    except BaseException:
        executor.cancel()  # or closing would wait for every training to reach its end
        raise
    finally:
        executor.close()
    return [run.results[name] for name in needs]


def submit_all(needs: Mapping[str, Sequence[str]], executor: Executor) -> list[str]:
    """Leave networks to an executor that waits for bases by itself, and close it.

    Returns:
        the names of those that are submitted: all but those whose bases have failed already.

    Raises:
        CaffeTransferError: the scheduler refuses one; those before it are submitted.
    """
    submitted: list[str] = []
    ended: dict[str, Outcome] = {}
    try:
        for name in TopologicalSorter(needs).static_order():
            while not executor.room():
                ended |= {result.name: result.outcome for result in executor.ended()}
            after = [base for base in needs[name] if ended.get(base) is not Outcome.DONE]
            if any(base in ended for base in after):
                ended[name] = Outcome.SKIPPED
                continue
            executor.submit(name, after)
            submitted.append(name)
    finally:
        executor.close()
    return submitted


class _Run:
    """The networks of a run: those that wait, those that are submitted, and the results."""

    def __init__(
        self,
        needs: Mapping[str, Sequence[str]],
        executor: Executor,
        ended: Callable[[JobResult], None],
        stop: threading.Event,
        turns: Turns,
        retries: Retries,
    ) -> None:
        self.results: dict[str, JobResult] = {}
        self._needs, self._executor, self._turns = needs, executor, turns
        self._heard, self._stop, self._cancelled = ended, stop, False
        self._retries = retries
        self._sorter = TopologicalSorter(needs)
        self._sorter.prepare()
        self._ready: set[str] = set()  # their bases have ended
        self._submitted: set[str] = set()
        self._early: dict[str, JobResult] = {}  # a scheduler told them before those of their bases
        # Those that are to be submitted.
        self._waiting: dict[str, None] = {}
        if executor.waits_for_bases:
            self._waiting = dict.fromkeys(TopologicalSorter(needs).static_order())

    def to_end(self) -> None:
        """Train each network once its bases are done."""
        while self._sorter.is_active():
            for name in self._sorter.get_ready():
                self._ready.add(name)
                if blocked := self._blocked(name):
                    self._record(blocked)
                elif name in self._early:
                    self._hear(self._early.pop(name))
                elif name not in self._submitted:
                    self._waiting[name] = None
            if self._stop.is_set():
                self._end_all()
            else:
                self._start()
            for result in self._executor.ended():
                self._hear(result)

    def _start(self) -> None:
        while self._waiting and self._executor.room():
            name = self._turns.start(self._waiting)
            if name is None:
                return
            del self._waiting[name]
            self._submit(name)

    def _submit(self, name: str) -> None:
        after = [base for base in self._needs[name] if base not in self.results]
        try:
            self._executor.submit(name, after)
        except CaffeTransferError as error:
            if not self._submitted:  # nothing runs that would be lost by it
                raise
            self._hear(JobResult(name, Outcome.FAILED, str(error), may_pass=True))
        self._submitted.add(name)

    def _end_all(self) -> None:
        """Cancel what is submitted; what waits for nothing but its turn ends at once."""
        if not self._cancelled:
            self._executor.cancel()
            self._cancelled = True
        for name in self._ready & self._waiting.keys():
            self._record(JobResult(name, Outcome.STOPPED, NOT_BEGUN))

    def _hear(self, result: JobResult) -> None:
        if result.name in self.results:
            return  # a scheduler ends the jobs whose bases failed, which were skipped before
        if result.name not in self._ready:
            self._early[result.name] = result
        elif not self._stop.is_set() and self._retries.another(result):
            self._turns.end(result)
            self._again(result.name)
        else:
            self._record(result)

    def _again(self, name: str) -> None:
        """Submit a network again, and those whose jobs wait for the one that failed."""
        again = {name: None}
        if self._executor.waits_for_bases:
            for other in TopologicalSorter(self._needs).static_order():
                if again.keys() & {*self._needs[other]} and other in self._submitted:
                    again[other] = None
                    self._early.pop(other, None)
        # First, since those that wait already may wait for these.
        self._waiting = again | self._waiting

    def _record(self, result: JobResult) -> None:
        self.results[result.name] = result
        self._waiting.pop(result.name, None)
        self._heard(result)
        self._turns.end(result)
        self._sorter.done(result.name)

    def _blocked(self, name: str) -> JobResult | None:
        for base in self._needs[name]:
            if self.results[base].outcome is not Outcome.DONE:
                return skipped(name, base)
        return None
