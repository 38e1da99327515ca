"""Progress of networks that are trained elsewhere."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from caffe_transfer.training import followed
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.followed import FollowedExecutor
from caffe_transfer.training.train import TrainingProgress
from tests.small_study import SmallRun


class Elsewhere:
    """An executor whose jobs end when they are told to."""

    waits_for_bases = True

    def __init__(self) -> None:
        self.submitted: list[tuple[str, Sequence[str]]] = []
        self.results: list[JobResult] = []
        self.cancelled = self.closed = False

    def room(self) -> bool:
        return not self.submitted

    def submit(self, name: str, after: Sequence[str]) -> None:
        self.submitted.append((name, after))

    def ended(self) -> list[JobResult]:
        results, self.results = self.results, []
        return results

    def cancel(self) -> None:
        self.cancelled = True

    def close(self) -> None:
        self.closed = True


def line(iteration: int, loss: float) -> str:
    return (
        f"I20261127 10:00:{iteration:02d}.000000    7 solver.cpp:239] Iteration {iteration} "
        f"(5 iter/s, 0.2s/1 iters), loss = {loss}\n"
    )


def test_each_look_reads_what_was_added(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LOOK_SECONDS", 0.0)
    root = small_run.write("half0A")
    logs = root / "logs"
    logs.mkdir()
    before = logs / "train-1.log"
    before.write_text(line(1, 9.0))
    os.utime(before, (time.time() - 100, time.time() - 100))
    heard: list[TrainingProgress] = []
    inner = Elsewhere()
    executor = FollowedExecutor(inner, small_run.folder, heard.append)
    assert executor.waits_for_bases
    assert executor.room()
    executor.submit("half0A", ["netbase"])
    assert inner.submitted == [("half0A", ["netbase"])]
    assert not executor.room()
    assert executor.ended() == []
    assert heard == []  # the log of an earlier try says nothing of this one
    log = logs / "train-2.log"
    log.write_text(line(1, 2.5) + "I2026")
    executor.ended()
    executor.ended()
    assert [(each.name, each.iteration, each.max_iter, each.loss) for each in heard] == [
        ("half0A", 1, 4, 2.5)
    ]
    assert heard[0].seconds_left is None
    with log.open("a") as file:
        file.write(line(3, 2.0).removeprefix("I2026"))
    executor.ended()
    assert [(each.iteration, each.loss) for each in heard[1:]] == [(3, 2.0)]
    assert heard[1].seconds_left is not None
    done = JobResult("half0A", Outcome.DONE)
    inner.results.append(done)
    with log.open("a") as file:
        file.write(line(4, 1.0))
    assert executor.ended() == [done]
    assert len(heard) == 2
    executor.cancel()
    executor.close()
    assert inner.cancelled
    assert inner.closed


def test_a_folder_that_cannot_be_read_is_no_reason_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_run: SmallRun
) -> None:
    monkeypatch.setattr(followed, "LOOK_SECONDS", 0.0)
    executor = FollowedExecutor(Elsewhere(), small_run.folder, lambda _: None)
    executor.submit("not_there", [])
    assert executor.ended() == []
