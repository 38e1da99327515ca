"""The replaying engine, by itself and through `run`, in which all is killed and goes on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training import manifest
from caffe_transfer.training.snapshots import newest_complete, snapshots
from tests.replay_engine import TWICE, replay_script
from tests.replay_study import ReplayRun, published_part

BASE, TRANSFER = "half0A", "transfer0A0B_1_3"
LAST = 450_000


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, authors: Path) -> ReplayRun:
    run = ReplayRun(tmp_path_factory.mktemp("replay"), published_part(authors), authors, seconds=2)
    run.prepare()
    return run


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def start(network: NetworkFolder, engine: Path, *options: str) -> "subprocess.Popen[str]":
    network.snapshots.mkdir(exist_ok=True)
    network.logs.mkdir(exist_ok=True)
    with (network.logs / f"{len(list(network.logs.iterdir()))}.log").open("w") as log:
        return subprocess.Popen(
            [engine, "train", "--solver=solver.prototxt", *options], cwd=network.root, stderr=log,
            text=True,
        )  # fmt: skip


def test_it_stops_and_resumes_as_caffe_does(prepared: ReplayRun, authors: Path) -> None:
    network = prepared.folder.network("half0B")
    engine = replay_script(prepared.folder.root.parent / "slow", authors / "results", 3)
    process = start(network, engine)
    wait_until(lambda: snapshots(network.snapshots))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(snapshots(network.snapshots)) > 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    newest = newest_complete(network.snapshots)
    assert newest is not None
    assert LAST // 5 < newest.iteration < LAST
    state = newest.state.relative_to(network.root)
    assert start(network, engine, f"--snapshot={state}").wait(30) == 0
    last = newest_complete(network.snapshots)
    assert last is not None
    assert last.iteration == LAST
    first, second = (path.read_text() for path in sorted(network.logs.iterdir()))
    assert f"Iteration {newest.iteration // 20 * 20}, loss" in first
    assert "Optimization stopped early." in first
    assert f"Iteration {newest.iteration // 20 * 20}, loss" not in second
    assert "Optimization Done." in second


def test_two_at_once_are_noticed(prepared: ReplayRun, authors: Path) -> None:
    network = prepared.folder.network("netbase")
    engine = replay_script(prepared.folder.root.parent / "slow", authors / "results", 30)
    first = start(network, engine)
    wait_until(prepared.engines)
    assert prepared.engines() == [first.pid]
    assert start(network, engine).wait(30) == 1
    first.kill()
    first.wait()
    assert "another engine trains" in (network.logs / "1.log").read_text()
    assert "while another engine trained here" in (network.root / TWICE).read_text()
    (network.root / TWICE).unlink()
    assert prepared.engines() == []


def test_killed_run_and_engine_go_on_to_the_published_results(prepared: ReplayRun) -> None:
    """An engine is killed, then the run, whose other engines then snapshot and end."""
    first = prepared.start("--jobs", "3")
    base = prepared.folder.network(BASE)
    wait_until(lambda: len(snapshots(base.snapshots)) > 1)
    (victim,) = (
        pid for pid in prepared.engines() if Path(f"/proc/{pid}/cwd").resolve() == base.root
    )
    os.kill(victim, signal.SIGKILL)
    # Not by its failure.txt, which the next try removes at once.
    again = f"{BASE} is tried again, since it failed: "
    wait_until(lambda: again in prepared.folder.log.read_text())
    wait_until(lambda: len(prepared.engines()) > 1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    wait_until(lambda: not prepared.engines())
    assert prepared.start("--jobs", "3").wait(600) == 0, prepared.output
    prepared.check()
    starts = [each["from_iteration"] for each in manifest.read(base.manifest)["runs"]]
    assert starts[0] == 0
    assert starts[1] in (LAST // 5 * number for number in range(1, 5))
    frozen = ["conv1", "conv2", "conv3"]
    hashes = [
        blob_hashes(prepared.folder.network(name).snapshots / f"net_iter_{LAST}.caffemodel", frozen)
        for name in (BASE, TRANSFER)
    ]
    assert hashes[0] == hashes[1]
