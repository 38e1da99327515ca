"""The contract of an engine, held by real Caffe and by caffe-torch alike."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from caffe_transfer.errors import EngineError, Interrupted
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.paths import NetworkFolder, resume_file
from caffe_transfer.report import logs, results
from caffe_transfer.report.logs import NetworkLog
from caffe_transfer.studies.study import Study
from caffe_transfer.training import engine as engines
from caffe_transfer.training.engine import CAFFE, CAFFE_TORCH, Engine
from caffe_transfer.training.snapshots import newest_complete, snapshots
from caffe_transfer.training.status import network_status
from caffe_transfer.training.train import TrainingProgress, train_network
from tests.small_study import SmallRun


@pytest.fixture(params=[CAFFE, CAFFE_TORCH])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each of the two."""
    if request.param == CAFFE:
        return Engine(CAFFE, request.getfixturevalue("caffe_bin"))
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    return Engine(CAFFE_TORCH, Path(sys.executable).with_name(CAFFE_TORCH))


@pytest.fixture
def run(prepared: tuple[Path, Study], engine: Engine, tmp_path: Path) -> SmallRun:
    """A small study's data, for one test."""
    root, study = prepared
    shutil.copytree(root, tmp_path / "run", symlinks=True)
    return SmallRun(tmp_path / "run", study, engine)


def read(folder: NetworkFolder) -> NetworkLog:
    return logs.read_logs(logs.log_files(folder.root))


def call(engine: Engine, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [engine.program, *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env={"GLOG_logtostderr": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_the_small_study_is_trained_and_proven(run: SmallRun) -> None:
    for name in ("half0A", "transfer0A0B_1_3", "transfer-ft0A0B_1_3", "nolearn_1_2"):
        result, seen = run.train(name)
        assert result["finished"]
        assert seen[-1].iteration == 4
        log = read(run.folder.network(name))
        assert log.train_loss.iterations.tolist() == [0, 1, 2, 3, 4]
        assert log.accuracy.iterations.tolist() == [0, 2, 4]
        assert log.valid_loss.iterations.tolist() == [0, 2, 4]
        assert log.problems == ()
    rows = results.collect(run.folder.results).rows
    assert all(row.complete and row.top1 is not None for row in rows)


def test_both_flags_and_versions(run: SmallRun) -> None:
    assert run.settings.engine.version()
    root = run.write("half0A")
    (root / "snapshots").mkdir()
    done = call(run.settings.engine, "train", "-solver", "solver.prototxt", cwd=root)
    assert done.returncode == 0, done.stderr
    assert (root / "snapshots/net_iter_4.caffemodel").exists()


def test_stop_and_resume(run: SmallRun) -> None:
    root = run.write("half0A")
    lengthen(root)
    stop = threading.Event()

    def report(progress: TrainingProgress) -> None:
        if progress.iteration >= 3:
            stop.set()

    with pytest.raises(Interrupted, match=r"^stopped at iteration \d+ of 100000"):
        train_network(root, run.settings, report, stop)
    newest = newest_complete(NetworkFolder(root).snapshots)
    assert newest is not None
    solver = NetworkFolder(root).solver
    solver.write_text(
        solver.read_text().replace("max_iter: 100000", f"max_iter: {newest.iteration + 2}")
    )
    result = train_network(root, run.settings, lambda _: None)
    assert result["finished"]
    assert result["runs"][-1]["from_iteration"] == newest.iteration
    is_exact = run.settings.engine.name == CAFFE_TORCH
    assert result["runs"][0]["resume"] is None
    assert result["runs"][-1]["resume"] == ("exact" if is_exact else "as Caffe")
    restarts = () if is_exact else (newest.iteration,)
    assert network_status(root).data_restarts == restarts
    (row,) = results.collect(run.folder.results).rows
    assert row.data_restarts == len(restarts)


@pytest.mark.parametrize("engine", [CAFFE_TORCH], indirect=True)
def test_a_killed_training_ends_as_one_that_was_not(
    run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.folder.root, tmp_path / "other", symlinks=True)
    other = SmallRun(tmp_path / "other", run.study, run.settings.engine)
    for each in (run, other):
        solver = NetworkFolder(each.write("half0A")).solver
        text = solver.read_text().replace("max_iter: 4", "max_iter: 600")
        text = text.replace("test_interval: 2", "test_interval: 30")
        solver.write_text(text.replace("snapshot: 2", "snapshot: 100") + "average_loss: 7\n")
    whole, root = (each.folder.results / "half0A" for each in (run, other))
    train_network(whole, run.settings, lambda _: None)
    started: list[subprocess.Popen[bytes]] = []
    start = engines.start

    def kept(*arguments: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments))
        return started[-1]

    def report(progress: TrainingProgress) -> None:
        if progress.iteration > 150:
            started[-1].kill()

    monkeypatch.setattr(engines, "start", kept)
    with pytest.raises(EngineError, match="ended with status -9"):
        train_network(root, run.settings, report)
    result = train_network(root, run.settings, lambda _: None)
    assert result["runs"][-1]["from_iteration"] >= 100
    assert result["runs"][-1]["resume"] == "exact"
    theirs, ours = (
        {path.name: path.read_bytes() for path in NetworkFolder(folder).snapshots.iterdir()}
        for folder in (whole, root)
    )
    assert len(theirs) == 18
    assert {name: ours[name] for name in theirs} == theirs
    assert results.collect(other.folder.results) == results.collect(run.folder.results)


@pytest.mark.parametrize("engine", [CAFFE_TORCH], indirect=True)
def test_a_broken_resume_file_is_one_sentence(run: SmallRun) -> None:
    run.train("half0A")
    folder = run.folder.network("half0A")
    folder.solver.write_text(folder.solver.read_text().replace("max_iter: 4", "max_iter: 6"))
    file = resume_file(folder.snapshots / "net_iter_4.solverstate")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EngineError, match=r"ended with status 2: .*resume is broken.*; remove it"):
        train_network(folder.root, run.settings, lambda _: None)
    file.unlink()
    result = train_network(folder.root, run.settings, lambda _: None)
    assert [each["resume"] for each in result["runs"]] == [None, None, "as Caffe"]


def test_hangup_asks_for_a_snapshot_and_interrupt_ends(run: SmallRun) -> None:
    root = run.write("half0A")
    lengthen(root)
    folder = NetworkFolder(root)
    folder.snapshots.mkdir()
    argv = run.settings.engine.train("solver.prototxt")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=root, stderr=log, env={"GLOG_logtostderr": "1", "OMP_NUM_THREADS": "1"}
        )
    try:
        wait_for(lambda: b"Iteration 2," in (root / "log").read_bytes())
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: newest_complete(folder.snapshots) is not None)
        assert process.poll() is None
        first = len(snapshots(folder.snapshots))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert len(snapshots(folder.snapshots)) == first + 1
        assert b"Optimization stopped early." in (root / "log").read_bytes()
    finally:
        process.kill()
        process.wait()


def test_scoring_a_model(run: SmallRun) -> None:
    run.train("half0A")
    folder = run.folder.network("half0A")
    done = call(
        run.settings.engine, "test", f"--model={folder.net.name}",
        "--weights=snapshots/net_iter_4.caffemodel", "--iterations=4", cwd=folder.root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.partition("] ")[2] for line in done.stderr.splitlines()]
    # Caffe's reading thread may write a line among the last ones.
    means = [line for line in lines if line.startswith(("accuracy = ", "loss = "))]
    scores = [float(line.split(" = ")[1].split()[0]) for line in means]
    assert [line.split()[0] for line in means] == ["accuracy", "loss"]
    assert 0 <= scores[0] <= 1
    assert scores[1] > 0


def test_timing_a_model(run: SmallRun) -> None:
    root = run.write("half0A")
    done = call(
        run.settings.engine, "time", "--model=train_val.prototxt", "--iterations=2", cwd=root
    )
    assert done.returncode == 0, done.stderr
    for part in ("Forward pass", "Backward pass", "Forward-Backward"):
        assert f"Average {part}: " in done.stderr


def test_what_cannot_be_trained_fails_and_leaves_snapshots_alone(run: SmallRun) -> None:
    run.train("half0A")
    folder = run.folder.network("half0A")
    before = {path: path.read_bytes() for path in folder.snapshots.iterdir()}
    text = folder.net.read_text()
    bad = {
        "no database": (text.replace("half0A_train", "none"), []),
        "unknown layer": (text.replace('"LRN"', '"LRM"'), []),
        "other shapes": (
            text.replace("num_output: 24", "num_output: 12"),
            ["--weights=snapshots/net_iter_4.caffemodel"],
        ),
        "no such weights": (text, ["--weights=none.caffemodel"]),
        "no such state": (text, ["--snapshot=none.solverstate"]),
    }
    for what, (net, more) in bad.items():
        folder.net.write_text(net)
        argv = ["train", "--solver=solver.prototxt", *more]
        assert call(run.settings.engine, *argv, cwd=folder.root).returncode != 0, what
    assert {path: path.read_bytes() for path in folder.snapshots.iterdir()} == before


def test_a_failing_engine_is_quoted(run: SmallRun) -> None:
    root = run.write("half0A")
    net = NetworkFolder(root).net
    net.write_text(net.read_text().replace("pool: MAX", "pool: STOCHASTIC stride_h: 0"))
    with pytest.raises(EngineError, match=r"^caffe\S* ended with status -?\d+: .*; see"):
        train_network(root, run.settings, lambda _: None)


def test_the_same_run_gives_the_same_bytes(run: SmallRun, tmp_path: Path) -> None:
    models = []
    for name in ("a", "b"):
        other = SmallRun(tmp_path / name, run.study, run.settings.engine)
        shutil.copytree(run.folder.root, tmp_path / name, symlinks=True)
        other.train("half0A")
        path = other.folder.network("half0A").snapshots / "net_iter_4.caffemodel"
        with open_model(path) as model:
            models.append({
                layer.name: [blob.tobytes() for blob in layer.blobs]
                for layer in model.with_blobs.values()
            })  # fmt: skip
    assert models[0] == models[1]


def lengthen(root: Path) -> None:
    solver = NetworkFolder(root).solver
    text = solver.read_text().replace("max_iter: 4", "max_iter: 100000")
    solver.write_text(text.replace("snapshot: 2", "snapshot: 100000"))


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.05)
