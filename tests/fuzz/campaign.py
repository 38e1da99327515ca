"""A campaign: every target gets broken files in turn, until the time or the count is up."""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.fuzz.mutations import mutate
from tests.fuzz.runner import ACCEPTED, SENTENCE, Result, run_all
from tests.fuzz.samples import write_samples
from tests.fuzz.target import Target
from tests.fuzz.targets import OUT, targets

BATCH = 12  # inputs of one target in a child


@dataclass(frozen=True)
class Input:
    """A broken file: the number of its target among all, and its own number, tell it anew."""

    target: Target
    seed: str
    kinds: str
    content: bytes


@dataclass
class Counts:
    """What became of the inputs of some targets."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def add(self, result: Result) -> None:
        """Count a result."""
        self.outcomes[result.outcome] += 1
        self.slowest = max(self.slowest, result.seconds)

    @property
    def failures(self) -> int:
        return self.outcomes.total() - self.outcomes[SENTENCE] - self.outcomes[ACCEPTED]


@dataclass
class Campaign:
    """Runs inputs in a folder of samples.

    Attributes:
        scratch: an empty folder.
        failures: where the files of failures are kept; None to keep none.
        only: a part of the names of the targets.
    """

    scratch: Path
    seed: int
    failures: Path | None = None
    only: str = ""
    counts: dict[str, Counts] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._samples, self._work = self.scratch / "samples", self.scratch / "work"
        self._samples.mkdir(parents=True)
        write_samples(self._samples)
        self._restored_for = ""
        self._targets = [each for each in targets() if self.only in each.name]

    def run(
        self, *, count: int | None = None, seconds: float | None = None, batch: int = BATCH
    ) -> None:
        """Go on until so many inputs have been given or so many seconds are over."""
        began, done, turn = time.monotonic(), 0, 0
        while True:
            for target in self._targets:
                size = 1 if target.is_slow else batch
                if count is not None:
                    size = min(size, count - done)
                over = seconds is not None and time.monotonic() - began > seconds
                if over or size == 0:
                    return
                self._batch(target, range(turn * batch, turn * batch + size))
                done += size
            turn += 1

    def unbroken(self) -> dict[str, Result]:
        """What each target, by its name, makes of its sample as it is."""
        self._restore()
        inputs = [
            Input(each, "", "unbroken", (self._samples / each.file).read_bytes())
            for each in self._targets
        ]
        results = run_all([partial(self._one, each) for each in inputs])
        return {each.target.name: one for each, one in zip(inputs, results, strict=True)}

    def again(self, target: Target, number: int) -> Input:
        """An input of this campaign."""
        return make_input(self._samples, target, self.seed, number)

    def _batch(self, target: Target, numbers: Sequence[int]) -> None:
        inputs = [self.again(target, number) for number in numbers]
        if self._restored_for != target.file:  # what a command writes is removed by itself
            self._restored_for = target.file
            self._restore()
        jobs = [partial(self._one, each) for each in inputs]
        for each, result in zip(inputs, run_all(jobs), strict=True):
            self.counts.setdefault(target.group, Counts()).add(result)
            if not result.is_good:
                self._keep(each, result)
                self._restored_for = ""

    def _restore(self) -> None:
        """A new copy of the samples: what was broken or written is gone."""
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._samples, self._work, symlinks=True)

    def _one(self, each: Input) -> str:
        return run_input(self._work, each)

    def _keep(self, each: Input, result: Result) -> None:
        line = f"{result.outcome}: {each.target.name}: {each.kinds} (input {each.seed})"
        self.failed.append(line)
        if self.failures is None:
            return
        folder = self.failures / f"{len(self.failed):04}"
        shutil.copytree(self._samples, folder, symlinks=True)
        (folder / each.target.file).write_bytes(each.content)
        (folder / "HOW.txt").write_text(
            f"{line}\nin this folder: {each.target.line}\n\n{result.said}\n", errors="replace"
        )


def make_input(samples: Path, target: Target, seed: int, number: int) -> Input:
    """An input that depends on its target, the seed and its number alone."""
    own = f"{seed}/{target.name}/{number}"
    good = (samples / target.file).read_bytes()
    kinds, content = mutate(random.Random(own), good, target.changes)
    return Input(target, own, kinds, content)


def run_input(folder: Path, each: Input) -> str:
    """Put a broken file in its place and have its target read it; in a child process."""
    os.chdir(folder)
    os.environ["CAFFE_BIN"] = str(folder / "engine")
    path = Path(each.target.file)
    good = path.read_bytes()
    path.write_bytes(each.content)
    try:
        return each.target.run()
    finally:
        path.write_bytes(good)
        for made in Path().glob(f"{OUT}*"):
            if made.name != "made.binaryproto":
                _remove(made)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def table(counts: dict[str, Counts]) -> Iterator[str]:
    """The counts as lines of a table in Markdown."""
    yield "| what | inputs | a sentence | accepted | failures | slowest |"
    yield "|---|---:|---:|---:|---:|---:|"
    rows = [*sorted(counts.items()), ("**all**", _total(counts))]
    for name, each in rows:
        outcomes = each.outcomes
        yield (
            f"| {name} | {outcomes.total():,} | {outcomes[SENTENCE]:,} | {outcomes[ACCEPTED]:,} "
            f"| {each.failures:,} | {each.slowest:.1f} s |"
        )


def _total(counts: dict[str, Counts]) -> Counts:
    total = Counts()
    for each in counts.values():
        total.outcomes += each.outcomes
        total.slowest = max(total.slowest, each.slowest)
    return total
