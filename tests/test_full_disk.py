"""A study whose disk fills up again and again, and then has room: nothing is lost."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kill.checks import problems
from tests.kill.subject import REPLAY, Reference, Subject

ROOMY = "50m"
# What is there, by its path in the run's folder, when the disk has just become full.
MOMENTS = (
    "images",
    "data/whole_train/files.txt",
    "data/half0A_train/lmdb",
    "data/mean.binaryproto",
    "results/half0A/logs",
    "results/half0A/snapshots/net_iter_8.solverstate",
    "results/transfer0A0B_1_3/logs",
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk whose size can be changed."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root alone; run the tests as root")
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "none", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here ({done.stderr.strip()}); run the tests elsewhere")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def resize(disk: Path, size: str) -> bool:
    """Give the disk a size; False if it holds more."""
    argv = ["mount", "-o", f"remount,size={size}", str(disk)]
    return subprocess.run(argv, capture_output=True).returncode == 0


def fill(disk: Path) -> None:
    """Leave no room, whatever is written meanwhile."""
    found = os.statvfs(disk)
    used = found.f_blocks - found.f_bfree
    while not resize(disk, f"{used * found.f_frsize}"):
        used += 1


def test_the_same_command_goes_on_when_there_is_room(disk: Path, reference: Reference) -> None:
    subject = Subject(disk / "study", REPLAY, 0.5)
    for moment in MOMENTS:
        running = subject.start("run")
        while running.poll() is None and not (subject.folder.root / moment).exists():
            time.sleep(0.002)
        fill(disk)
        status = running.wait()
        assert resize(disk, ROOMY)
        # By then the program may have written all that it had to.
        assert status in (0, 2), (moment, subject.last_words())
    said = subject.output.read_text()
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert subject.start("run").wait() == 0, subject.last_words()
    assert problems(subject, reference.subject) == []
