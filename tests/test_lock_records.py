"""Records of a lock: whatever the order of the steps of several machines, one holds it at most."""

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_transfer import lock_records
from caffe_transfer.lock_records import Record, claim, records, release

MACHINES = 3
ROUNDS = 4  # of each machine


class Steps:
    """Threads that go on one at a time, each to its next access to a file."""

    def __init__(self) -> None:
        self._go = [threading.Semaphore(0) for _ in range(MACHINES)]
        self._back = threading.Semaphore(0)
        self._local = threading.local()

    def begin(self, number: int) -> None:
        """Wait for this thread's first turn."""
        self._local.number = number
        self._go[number].acquire()

    def next(self) -> None:
        """Wait for this thread's next turn."""
        self._back.release()
        self._go[self._local.number].acquire()

    def end(self) -> None:
        """Give up all turns."""
        self._back.release()

    def turn(self, number: int) -> None:
        """Let a thread go on until it waits, or has ended."""
        self._go[number].release()
        self._back.acquire()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that waits for a turn before it does what another does."""

        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.next()
            return function(*args, **kwargs)

        return stepped


class World:
    """Machines that take a lock, hold it, and release it or die."""

    def __init__(self, lock: Path) -> None:
        self.lock, self.steps = lock, Steps()
        self.holders: set[str] = set()
        self.dead: set[str] = set()
        self.taken = 0
        self.together: list[set[str]] = []
        self.running = set(range(MACHINES))

    def run(self, chance: Random) -> None:
        threads = [threading.Thread(target=self._machine, args=(n,)) for n in range(MACHINES)]
        for thread in threads:
            thread.start()
        while self.running:
            number = chance.choice(sorted(self.running))
            for _ in range(chance.choice((1, 2, 4, 8, 16))):
                if number in self.running:
                    self.steps.turn(number)
        for thread in threads:
            thread.join()

    def _machine(self, number: int) -> None:
        self.steps.begin(number)
        for _ in range(ROUNDS):
            before = records(self.lock)
            if not before or before[-1].record.name in self.dead:
                mine = claim(self.lock, before)
                if mine is not None:
                    self._hold(mine)
        self.running.remove(number)
        self.steps.end()

    def _hold(self, mine: Record) -> None:
        self.holders.add(mine.name)
        self.taken += 1
        if len(self.holders) > 1:
            self.together.append(set(self.holders))
        self.steps.next()
        self.holders.remove(mine.name)
        if self.taken % 3 == 0:
            self.dead.add(mine.name)
        else:
            release(self.lock, mine)


def stepped_os(steps: Steps) -> SimpleNamespace:
    names = ("O_WRONLY", "O_CREAT", "O_EXCL", "close", "fsync", "getpid")
    kept = {name: getattr(os, name) for name in names}
    return SimpleNamespace(open=steps.before(os.open), pwrite=steps.before(os.pwrite), **kept)


@settings(max_examples=50)
@given(st.integers(0))
def test_one_holder_at_most(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "lock")
        with (
            patch.object(lock_records, "os", stepped_os(world.steps)),
            patch.object(lock_records, "_read", world.steps.before(lock_records._read)),
            patch.object(Path, "unlink", world.steps.before(Path.unlink)),
        ):
            world.run(Random(seed))
        assert world.together == []
        assert world.taken
