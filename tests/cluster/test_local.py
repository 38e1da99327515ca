"""The paper's 170 networks on this machine, by the replaying engine."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from caffe_transfer.training.snapshots import snapshots
from tests.replay_study import ReplayRun, replay_study


@pytest.mark.usefixtures("minutes")
def test_all_networks_whatever_is_killed(tmp_path: Path, authors: Path) -> None:
    run = ReplayRun(tmp_path, replay_study(), authors, seconds=0.5)
    run.prepare()
    for count in (20, 60, 100):  # networks that have been begun
        process = run.start("--jobs", "4")
        while process.poll() is None and _begun(run) < count:
            time.sleep(0.1)
        for pid in (*run.engines(), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    assert run.start("--jobs", "4").wait(900) == 0, run.output
    run.check()


def _begun(run: ReplayRun) -> int:
    return sum(bool(snapshots(path / "snapshots")) for path in run.folder.results.iterdir())
