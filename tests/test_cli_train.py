"""`run`, `train` and `status` as a user calls them, with real Caffe."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from caffe_transfer.studies.load import paper
from caffe_transfer.training.snapshots import newest_complete
from tests.small_study import TEXT, SmallRun, write_study

COMMAND = [sys.executable, "-m", "caffe_transfer"]
NETWORKS = {
    "netbase", "half0A", "half0B", "transfer0A0B_1_3", "transfer-ft0A0B_1_3", "nolearn_1_2",
}  # fmt: skip


def call(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def run_arguments(folder: Path, study: Path, *more: str) -> list[str]:
    return ["run", str(study), "--out", str(folder / "run"), "--from", str(folder / "given"), *more]


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "run/report/results.csv").open() as file:
        return {row["network"]: row for row in csv.DictReader(file)}


def logged(results: Path) -> str:
    """Everything that engines have logged so far."""
    return "".join(log.read_text() for log in results.glob("*/logs/*"))


def interrupt_when(condition: Callable[[], bool], arguments: list[str]) -> None:
    """Start the command line, press Ctrl-C when `condition` holds, and wait for a clean end."""
    running = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130, error
    assert "run the same command again to go on" in error
    assert "Traceback" not in error


def started_in(run: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """A run that works in its folder."""
    running = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (run / "study.toml").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return running


@dataclass(frozen=True)
class Finished:
    """A run that `run` has finished, with study and images beside it.

    Attributes:
        arguments: those that it was run with.
        said: what it printed as progress.
    """

    folder: Path
    said: str

    @property
    def arguments(self) -> list[str]:
        return run_arguments(self.folder, self.folder / "small.toml", "--jobs", "2")

    def again(self) -> subprocess.CompletedProcess[str]:
        return call(*self.arguments)


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory, caffe_bin: Path) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAFFE_BIN", str(caffe_bin))
        done = Finished(folder, "").again()
    assert done.returncode == 0, done.stderr
    return Finished(folder, done.stderr)


@pytest.fixture
def finished(finished_once: Finished, tmp_path: Path) -> Finished:
    """A copy of it for one test."""
    shutil.copytree(finished_once.folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    return replace(finished_once, folder=tmp_path)


@pytest.fixture
def caffe_environment(caffe_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program under test finds the real Caffe that the tests found."""
    monkeypatch.setenv("CAFFE_BIN", str(caffe_bin))


@pytest.mark.usefixtures("caffe_environment")
class TestRun:
    def test_from_images_to_report_and_again(self, finished: Finished) -> None:
        assert "6 of 6 networks are trained" in finished.said
        results = rows(finished.folder)
        assert set(results) == NETWORKS
        assert {row["complete"] for row in results.values()} == {"true"}
        assert all(row["top1"] and row["train_loss"] for row in results.values())
        logs = sorted(finished.folder.glob("run/results/*/logs/*"))
        assert len(logs) == 6
        assert finished.again().returncode == 0
        assert sorted(finished.folder.glob("run/results/*/logs/*")) == logs
        status = call("status", finished.folder / "run")
        assert status.stdout.count("done") == 6

    def test_kill_9_in_the_middle_and_a_second_run(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, TEXT.replace("max_iter = 4", "max_iter = 40"))
        arguments = run_arguments(tmp_path, study, "--jobs", "2")
        first = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)
        logs = tmp_path / "run/results"
        deadline = time.monotonic() + 60
        while not list(logs.glob("transfer*/logs/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert not (tmp_path / "run/report").exists()
        second = call(*arguments)
        assert second.returncode == 0, second.stderr
        results = rows(tmp_path)
        assert set(results) == NETWORKS
        assert all(row["iterations"] == "40" for row in results.values())
        assert all(row["top1"] and row["valid_loss"] for row in results.values())

    def test_a_failure_is_told_at_the_end(self, finished: Finished) -> None:
        broken = finished.folder / "run/results/half0A"
        (broken / "manifest.json").write_text("no manifest")
        done = finished.again()
        assert done.returncode == 2
        assert done.stderr.count("half0A failed: ") == 1
        assert "half0A: " not in done.stderr.replace("not trained: half0A failed", "")
        log = (finished.folder / "run/run.log").read_text()
        assert "transfer0A0B_1_3 skipped: its base half0A is not trained" in log
        assert "3 of 6 networks are trained" in done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith("caffe-transfer: 3 of 6 networks are not trained: half0A failed, 2")
        assert "run says why" in last
        told = call("status", finished.folder / "run").stdout
        assert f"half0A broken: {broken / 'manifest.json'} is not a manifest" in told
        assert "5 of 6 networks are trained, 1 broken" in told  # the others in the first run

    def test_what_an_engine_said_is_shown_by_status(self, finished: Finished) -> None:
        run = finished.folder / "run"
        net = run / "results/nolearn_1_2"
        (net / "manifest.json").unlink()
        shutil.rmtree(net / "snapshots")
        solver = (net / "solver.prototxt").read_text()
        (net / "solver.prototxt").write_text(solver.replace(": CPU", ": GPU"))
        done = call("train", net)
        assert done.returncode == 2
        rows = [json.loads(row) for row in call("status", run, "--json").stdout.split("\n") if row]
        (failed,) = [row for row in rows if row["state"] != "done"]
        assert (failed["name"], failed["state"]) == ("nolearn_1_2", "failed")
        assert f"caffe-transfer: {failed['problem']}\n" in done.stderr
        (net / "solver.prototxt").write_text(solver)
        assert call("train", net).returncode == 0
        assert "failed" not in call("status", run).stdout

    def test_a_quick_run_in_the_folder(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, TEXT + "[quick.solver]\nmax_iter = 2\n")
        assert call(*run_arguments(tmp_path, study, "--quick", "--prepare")).returncode == 0
        done = call(*run_arguments(tmp_path, study))
        assert done.returncode == 2
        assert "run that was begun with --quick; go on with it, or name another" in done.stderr

    def test_ctrl_c_while_the_report_is_made(self, finished: Finished) -> None:
        page = finished.folder / "run/report/index.html"
        page.unlink()
        running = subprocess.Popen(
            [*COMMAND, *finished.arguments], stderr=subprocess.PIPE, text=True
        )
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("training with"):
                break
        log = finished.folder / "run/run.log"
        while log.read_text().count(" done\n") < 12:  # six of each run
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, error = running.communicate(timeout=60)
        assert time.monotonic() - sent < 6
        assert running.returncode == 130, error
        assert error.splitlines()[-1].endswith("run the same command again to go on")
        assert not page.exists()

    def test_ctrl_c_keeps_the_state(self, tmp_path: Path) -> None:
        """The only snapshot is the one written on Ctrl-C, and the second run starts from it."""
        text = TEXT.replace("max_iter = 4", "max_iter = 100000")
        study = write_study(tmp_path, text.replace("snapshot = 2", "snapshot = 100000"))
        arguments = run_arguments(tmp_path, study)
        results = tmp_path / "run/results"
        interrupt_when(lambda: "Iteration 4 " in logged(results), arguments)
        (state,) = results.glob("*/snapshots/*.solverstate")
        snapshot = newest_complete(state.parent)
        assert snapshot is not None
        assert snapshot.iteration >= 4
        after = f"Iteration {snapshot.iteration + 1} "
        interrupt_when(lambda: after in logged(results), arguments)
        manifest = json.loads((state.parent.parent / "manifest.json").read_text())
        assert [each["from_iteration"] for each in manifest["runs"]] == [0, snapshot.iteration]

    def test_a_second_run_shows_the_first_and_leaves_it_by_ctrl_c(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, TEXT.replace("max_iter = 4", "max_iter = 100000"))
        arguments = run_arguments(tmp_path, study)
        first = started_in(tmp_path / "run", arguments)
        second = subprocess.Popen(
            [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert second.stderr is not None
        assert "another run works in" in second.stderr.readline()
        time.sleep(1)
        second.send_signal(signal.SIGINT)
        _, error = second.communicate(timeout=60)
        assert second.returncode == 0, error
        assert "goes on; the same command shows it again" in error
        assert first.poll() is None
        prepare = call(*arguments, "--prepare")
        assert prepare.returncode == 2
        assert "another process works in" in prepare.stderr
        study.write_text(study.read_text().replace("batch = 4", "batch = 8", 1))
        other = call(*arguments)
        assert other.returncode == 2
        assert "holds a run of study 'small' with other settings" in other.stderr
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 130

    def test_a_second_run_ends_with_the_first(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, TEXT.replace("max_iter = 4", "max_iter = 300"))
        arguments = run_arguments(tmp_path, study)
        first = started_in(tmp_path / "run", arguments)
        done = call(*arguments)
        assert first.wait(timeout=60) == 0
        assert done.returncode == 0, done.stderr
        assert "has ended: 6 of 6 networks are trained" in done.stderr

    def test_a_second_run_tells_that_the_first_was_stopped(self, tmp_path: Path) -> None:
        study = write_study(tmp_path, TEXT.replace("max_iter = 4", "max_iter = 100000"))
        arguments = run_arguments(tmp_path, study)
        first = started_in(tmp_path / "run", arguments)
        second = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "another run works in" in second.stderr.readline()
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=60) == 130
        _, error = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "has ended: 0 of 6 networks are trained" in error
        assert error.rstrip().endswith("run the same command again to go on")

    def test_another_study_in_the_same_folder(self, finished: Finished) -> None:
        (finished.folder / "small.toml").write_text(TEXT.replace("batch = 4", "batch = 8", 1))
        done = finished.again()
        assert done.returncode == 2
        assert "holds a run of study 'small' with other settings: batch is 4 there" in done.stderr

    def test_a_full_disk(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [*COMMAND, *run_arguments(tmp_path, write_study(tmp_path))],
            capture_output=True, text=True, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "cannot write" in done.stderr
        assert "Traceback" not in done.stderr


def test_prepare_and_go_on(
    tmp_path: Path, caffe_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = run_arguments(tmp_path, write_study(tmp_path))
    monkeypatch.setenv("CAFFE_BIN", "/nonexistent")  # no engine is needed
    done = call(*arguments, "--prepare")
    assert done.returncode == 0, done.stderr
    assert "run is prepared; run the same command without --prepare to train" in done.stderr
    results = tmp_path / "run/results"
    assert {path.name for path in results.iterdir()} == NETWORKS
    assert not list(results.glob("*/logs"))
    databases = {path: path.stat().st_ino for path in (tmp_path / "run/data").rglob("data.mdb")}
    assert databases
    assert call(*arguments, "--prepare").returncode == 0
    monkeypatch.setenv("CAFFE_BIN", str(caffe_bin))
    done = call(*arguments)
    assert done.returncode == 0, done.stderr
    assert "6 of 6 networks are trained" in done.stderr
    assert "trying caffe: netbase, batches of 4\n" in done.stderr
    assert "time: at most" in done.stderr
    assert {path: path.stat().st_ino for path in databases} == databases
    models = {path.relative_to(results).as_posix() for path in results.glob("*/snapshots/*")}
    assert models == {f"{name}/snapshots/net_iter_4.caffemodel" for name in NETWORKS}


@pytest.mark.parametrize(("number", "moment"), [(signal.SIGINT, 0.2), (signal.SIGTERM, 2)])
def test_a_signal_while_images_are_prepared(
    tmp_path: Path, number: signal.Signals, moment: float
) -> None:
    """While it converts them, at the start and later."""
    arguments = run_arguments(tmp_path, write_study(tmp_path), "--prepare")
    listed = tmp_path / "given/train.txt"
    listed.write_text(listed.read_text() * 5_000)
    running = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("run/data/*/lmdb.unfinished")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(moment)
    running.send_signal(number)
    sent = time.monotonic()
    _, error = running.communicate(timeout=60)
    assert time.monotonic() - sent < 4  # 2, and twice as much on a busy machine
    assert running.returncode == 130, error
    last = error.splitlines()[-1]
    assert last.startswith("caffe-transfer: stopped "), error
    assert last.endswith("; run the same command again to go on")
    assert not list(tmp_path.glob("run/data/*/*.part"))


def test_dry_run_tells_order_and_cost(tmp_path: Path) -> None:
    done = call("run", "fashion-mnist", "--out", tmp_path / "none", "--dry-run")
    assert done.returncode == 0
    assert "transfer-ft0A0B_1_7" in done.stdout
    assert "time: about" in done.stdout
    assert "disk: images 286.7 MB, databases" in done.stdout
    assert not (tmp_path / "none").exists()


def test_dry_run_within_a_limit() -> None:
    dry = ("run", "paper", "--dry-run", "--engine", "caffe", "--disk")
    done = call(*dry, "0.8TB")
    assert done.returncode == 0, done.stderr
    assert (
        "within --disk 800.0 GB: databases take at most 537.2 GB with one network at a time; 31 of "
        "them are made when they are needed, once each\n"
    ) in done.stdout
    done = call("run", "fashion-mnist", "--dry-run", "--disk", "9 TB")
    assert "9.0 TB: if all databases fit, they are made beforehand\n" in done.stdout


def test_dry_run_counts_what_is_trained(
    small_run: SmallRun, tmp_path: Path, caffe_environment: None
) -> None:
    study = write_study(tmp_path)
    arguments = ["run", str(study), "--out", str(small_run.folder.root), "--dry-run"]
    assert "time: unknown; the study gives no seconds_per" in call(*arguments).stdout
    small_run.train("half0A")
    done = call(*arguments, "--jobs", "64", "--trial")
    assert done.returncode == 0, done.stderr
    assert "trained already: 1 of 6 networks" in done.stdout
    assert re.search(
        r"time: about .*, at the pace of the logs of 1 network of this run", done.stdout
    )
    assert re.search(r"time: at most .*, by a trial of caffe on this machine", done.stdout)
    assert "--jobs 64 is hardly faster" in done.stdout
    assert re.search(
        r"  \S+ [kMG]?B beside what is there, \S+ .B free on the disk of ", done.stdout
    )


def test_names_are_whole_in_a_pipe() -> None:
    done = call("run", "paper", "--dry-run")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    names = {row[1] for row in rows if len(row) == 6 and row[0].isdigit()}
    assert names == {network.name for network in paper().networks}


def test_train_names_all_that_is_missing(tmp_path: Path, caffe_environment: None) -> None:
    call("generate", "--mode", "base", "--out", tmp_path)
    done = call("train", tmp_path / "half0A")
    assert done.returncode == 2
    for name in ("mean.binaryproto", "half0A_train/lmdb", "half0A_valid/lmdb"):
        assert name in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [0.0, 0.3])
def test_train_is_stopped_while_the_engine_starts(
    small_run: SmallRun, caffe_environment: None, number: signal.Signals, moment: float
) -> None:
    root = small_run.write("half0A")
    solver = root / "solver.prototxt"
    solver.write_text(solver.read_text().replace("max_iter: 4", "max_iter: 100000"))
    running = subprocess.Popen([*COMMAND, "train", root], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(root.glob("logs/*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(moment)
    running.send_signal(number)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130, error
    assert re.fullmatch(
        r"caffe-transfer: stopped at iteration \d+ of 100000; run the same command again to go on",
        error.splitlines()[-1],
    )
    assert not (root / "failure.txt").exists()


def test_train_prints_what_is_proven(small_run: SmallRun, caffe_environment: None) -> None:
    small_run.train("half0A")
    root = small_run.write("transfer0A0B_1_3")
    done = call("train", root)
    assert done.returncode == 0, done.stderr
    assert "frozen layers are byte-identical to their source: conv1, conv2, conv3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none"], "there is no .*none/solver"),
        (["train", ".", "--engine", "caff"], "there is no program caff"),
        (["run", "none", "--out", "x"], "there is no study 'none'"),
        (["run", "fashion-mnist", "--out", "x", "--jobs", "0"], "0 is not in the range"),
        (["run", "paper", "--disk", "800"], "'800' is not a size; sizes are like 800GB, 1.5TB"),
        (
            ["run", "paper", "--dry-run", "--engine", "caffe", "--disk", "9 GB"],
            "9.0 GB are too few for the databases of study 'paper': 267.2 GB stay",
        ),
        (["status", "none"], "there are no networks in none"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, caffe_environment: None, arguments: list[str], message: str
) -> None:
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("caffe-transfer")
    assert re.search(message, last), last
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
