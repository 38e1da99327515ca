"""The paper's 170 networks through a real Slurm, by the replaying engine."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from caffe_transfer.studies.study import Study
from tests.cluster.slurm import Slurm
from tests.replay_study import ReplayRun, published_part, replay_study

ON_SLURM = ("--on", "slurm", "--scheduler-option", "mem=1")
# Jobs of 170 networks that are under way at once, so that a look at the queue sees some.
_SECONDS = 2.0


def prepared(tmp_path: Path, authors: Path, study: Study, seconds: float = _SECONDS) -> ReplayRun:
    run = ReplayRun(tmp_path, study, authors, seconds=seconds)
    run.prepare()
    return run


def test_the_published_networks(tmp_path: Path, authors: Path, slurm: Slurm) -> None:
    run = prepared(tmp_path, authors, published_part(authors), seconds=0)
    arguments = (*ON_SLURM, "--threads", "1")
    assert run.start(*arguments, "--detach").wait(500) == 0, run.output
    submitted = run.folder.slurm_jobs.read_text()
    assert len(slurm.jobs()) > len(run.study.networks) // 2  # the command has not waited for them
    assert run.start(*arguments).wait(500) == 0, run.output
    assert run.folder.slurm_jobs.read_text() == submitted
    run.check()


@pytest.mark.usefixtures("minutes")
def test_all_networks_whatever_happens(tmp_path: Path, authors: Path, slurm: Slurm) -> None:
    """Limits every few seconds, jobs killed, a node that dies and one that is taken away."""
    run = prepared(tmp_path, authors, replay_study())
    arguments = (*ON_SLURM, "--threads", "1")
    process, chance = run.start(*arguments), random.Random(0)
    deeds: dict[int, Callable[[], object]] = {
        4: lambda: slurm.kill_node("n1"),
        12: lambda: slurm.start_node("n1"),
        # It comes back by itself when its daemon is heard of.
        20: lambda: slurm.run("scontrol", "update", "node=n2", "state=down", "reason=test"),
    }
    for number in range(30):
        time.sleep(3)
        if number in deeds:
            deeds[number]()
        _reach_limits(slurm, chance)
        if number % 3 == 0:
            _kill_one(run, chance)
    process.send_signal(signal.SIGKILL)  # the jobs go on
    process.wait()
    for _ in range(3):  # what was killed is trained by the next
        if run.start(*arguments).wait(1800) == 0:
            break
    run.check()


def _reach_limits(slurm: Slurm, chance: random.Random) -> None:
    running = [line.split()[0] for line in slurm.jobs("%i %t") if line.endswith(" R")]
    for job in chance.sample(running, min(2, len(running))):
        # It may have ended since.
        subprocess.run(["scancel", "--batch", "--signal=USR1", job], check=False)


def _kill_one(run: ReplayRun, chance: random.Random) -> None:
    """Kill an engine, and what has started it, as a machine does that has no memory left."""
    engines = run.engines()
    for pid in chance.sample(engines, min(1, len(engines))):
        with suppress(OSError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(pid, signal.SIGKILL)
            if str(run.folder.root) in Path(f"/proc/{parent}/cmdline").read_text():
                os.kill(parent, signal.SIGKILL)
