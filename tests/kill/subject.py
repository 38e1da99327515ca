"""A small study that is to be struck: its files, its command and its processes."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.paths import RunFolder
from tests.kill import points
from tests.replay_engine import ROOT
from tests.small_study import write_study

REPLAY = "replay"
ITERATIONS, EVERY = 20, 4
STUDY = f"""
name = "struck"
net = "mini"
batch = 4
test_batch = 4
[images]
source = "list"
classes = 4
channels = 1
size = 28
[solver]
base_lr = 0.00001
stepsize = 100
max_iter = {ITERATIONS}
test_iter = 4
test_interval = {EVERY}
snapshot = {EVERY}
display = 1
gpu = false
[[networks]]
mode = "base"
splits = ["0"]
[[networks]]
mode = "transfer"
splits = ["0"]
pairs = ["AB"]
n = [3]
[[networks]]
mode = "random"
n = [2]
"""
NETWORKS = ("half0A", "half0B", "transfer0A0B_1_3", "nolearn_1_2")
_HEAD = "I20261127 09:00:{second:02d}.000000 1 solver.cpp:1] "


class Subject:
    """A study in a folder of its own.

    Attributes:
        engine: REPLAY, or a real one's name or program.
        seconds: of a replayed training.
        folder: of the run.
        scratch: the temporary folder of its processes.
    """

    def __init__(self, root: Path, engine: str, seconds: float) -> None:
        self.root, self.engine, self.seconds = root, engine, seconds
        self.scratch = root / "scratch"
        self._plans = 0
        self.scratch.mkdir(parents=True)
        self.study = write_study(root, STUDY)
        self.folder = RunFolder(root / "run")
        self._program = str(_write_replay(root, seconds)) if engine == REPLAY else engine

    def new_plan(self) -> Path:
        """A file for the plan of a strike: engines of an earlier one may still read theirs."""
        self._plans += 1
        return self.root / f"plan{self._plans}.json"

    def argv(self, command: str) -> list[str]:
        """The arguments of a command on this study."""
        run = str(self.folder.root)
        argv = ["run", str(self.study), "--out", run, "--from", str(self.root / "given"),
                "--engine", self._program]  # fmt: skip
        return {
            "run": [*argv, "--jobs", "2", "--threads", "1"],
            "prepare": [*argv, "--prepare"],
            "status": ["status", run],
            "report": ["report", run],
        }[command]  # fmt: skip

    def start(self, command: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a command in a session of its own; its output goes to the file `output.txt`."""
        environment = os.environ | variables | {
            points.ROOT: str(self.folder.root), "TMPDIR": str(self.scratch),
            "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        argv = [sys.executable, "-m", "tests.kill.points", points.PROGRAM, *self.argv(command)]
        with self.output.open("ab") as output:
            output.write(f"--- {command}\n".encode())
            output.flush()
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                cwd=self.root, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> Path:
        """What all commands have printed."""
        return self.root / "output.txt"

    def last_words(self) -> str:
        """What the last command has printed."""
        return self.output.read_text(errors="replace").rpartition("--- ")[2]

    def processes(self) -> list[int]:
        """All that run for it."""
        return points.processes(str(self.folder.root))

    def where(self) -> str:
        """The part of the work that has changed a file last."""
        newest, area = 0, points.START
        for path in self.folder.root.rglob("*"):
            try:
                changed = path.lstat().st_mtime_ns
            except OSError:  # just renamed or removed
                continue
            if changed > newest and path.name != "run.log" and not path.is_dir():
                newest, area = changed, points.area_of(str(path.relative_to(self.folder.root)))
        return area


@dataclass(frozen=True)
class Reference:
    """A study that nothing strikes, run to its end.

    Attributes:
        seconds: that its run has taken.
        events: the number of those at which a process can strike, of each role and area.
    """

    subject: Subject
    seconds: float
    events: Counter[tuple[str, str]]

    @classmethod
    def make(cls, root: Path, engine: str, seconds: float) -> "Reference":
        """Run a study in an empty folder.

        Args:
            seconds: of a replayed training.
        """
        subject, counts = Subject(root, engine, seconds), root / "events.txt"
        began = time.monotonic()
        status = subject.start("run", **{points.COUNT: str(counts)}).wait()
        assert status == 0, subject.last_words()
        rows = (line.split("\t")[:2] for line in counts.read_text().splitlines())
        events = Counter((role, area) for role, area in rows)
        return cls(subject, time.monotonic() - began, events)


def _write_replay(root: Path, seconds: float) -> Path:
    """The replaying engine with logs of its own for this study, as a program that can strike."""
    for number, name in enumerate(NETWORKS):
        (root / "published" / name).mkdir(parents=True)
        (root / "published" / name / "train.log").write_text(_log(number))
    path = root / "replay"
    path.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -m tests.kill.points {points.ENGINE} "
        f"--seconds={seconds} --published='{root / 'published'}' \"$@\"\n"
    )
    path.chmod(0o755)
    return path


def _log(number: int) -> str:
    """A log in Caffe's words of one training, with scores that tell the networks apart."""
    lines: list[str] = []
    for iteration in range(ITERATIONS + 1):
        if iteration % EVERY == 0:
            score = 0.3 + 0.02 * iteration + 0.01 * number
            lines += _test(iteration, score)
        lines.append(f"Iteration {iteration} (1 iter/s, 1s/1 iters), loss = {2 - 0.05 * iteration}")
    return "".join(f"{_HEAD.format(second=second)}{line}\n" for second, line in enumerate(lines))


def _test(iteration: int, score: float) -> Sequence[str]:
    return (
        f"Iteration {iteration}, Testing net (#0)",
        f"    Test net output #0: accuracy = {score:.3f}",
        f"    Test net output #1: loss = {1 - score:.3f} (* 1 = {1 - score:.3f} loss)",
    )
