"""Event files, read by TensorBoard's own reader."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from caffe_transfer.cli import main
from caffe_transfer.errors import BadInput
from caffe_transfer.report import logs
from caffe_transfer.report.logs import log_files, read_logs
from caffe_transfer.report.results import collect
from caffe_transfer.report.tensorboard import MOST_POINTS, EventWriter
from tests.test_cli import call

LOG = """\
I20261127 10:00:00.500000 7 solver.cpp:347] Iteration 0, Testing net (#0)
I20261127 10:00:01.000000 7 solver.cpp:414]     Test net output #0: accuracy = 0.25
I20261127 10:00:01.000000 7 solver.cpp:414]     Test net output #1: loss = 1.5 (* 1 = 1.5 loss)
I20261127 10:00:02.000000 7 solver.cpp:239] Iteration 0 (1 iter/s, 1s/1 iters), loss = 3
I20261127 10:00:02.000000 7 sgd_solver.cpp:112] Iteration 0, lr = 0.01
I20261127 10:00:04.500000 7 solver.cpp:239] Iteration 20 (1 iter/s, 1s/20 iters), loss = 2
I20261127 10:00:04.500000 7 sgd_solver.cpp:112] Iteration 20, lr = 0.001
"""


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return events


def write_log(folder: Path, name: str, text: str = LOG) -> None:
    path = folder / name / "logs/train-1.log"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def write_events(results: Path, out: Path) -> int:
    """The curves of a folder's networks; how many have some."""
    writer = EventWriter(out)
    collect(results, on_logs=writer.add, rates=True)
    return writer.written


def test_curves_with_their_times(tmp_path: Path) -> None:
    write_log(tmp_path / "results", "half0A")
    write_log(tmp_path / "results", "half0B")
    (tmp_path / "results/transfer0A0B_1_1").mkdir()
    assert write_events(tmp_path, tmp_path / "tb") == 2
    assert sorted(path.name for path in (tmp_path / "tb").iterdir()) == ["half0A", "half0B"]
    events = read(tmp_path / "tb/half0A")
    curves = {
        name: [(each.step, pytest.approx(each.value)) for each in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }
    assert curves == {
        "loss/training": [(0, 3), (20, 2)],
        "loss/validation": [(0, 1.5)],
        "accuracy/validation": [(0, 0.25)],
        "learning_rate": [(0, 0.01), (20, 0.001)],
    }
    first, second = events.Scalars("loss/training")
    assert second.wall_time - first.wall_time == pytest.approx(2.5)


def test_again_in_the_same_folder(tmp_path: Path) -> None:
    write_log(tmp_path, "half0A")
    for _ in range(2):
        write_events(tmp_path, tmp_path / "tb")
    assert len(list((tmp_path / "tb/half0A").iterdir())) == 1
    (tmp_path / "tb/half0A/notes.txt").touch()
    with pytest.raises(BadInput, match=r"notes\.txt is no event file; name another folder"):
        write_events(tmp_path, tmp_path / "tb")


def test_long_curves_are_thinned_evenly(tmp_path: Path, authors: Path) -> None:
    (tmp_path / "half0A").symlink_to(authors / "results/half0A")
    write_events(tmp_path, tmp_path / "tb")
    events = read(tmp_path / "tb/half0A")
    losses, rates = events.Scalars("loss/training"), events.Scalars("learning_rate")
    assert len(losses) == MOST_POINTS
    assert (losses[0].step, losses[-1].step) == (20, 450_000)
    assert {round(each.value, 9) for each in rates} == {0.01, 0.001, 0.0001, 0.00001, 0.000001}
    log = read_logs(log_files(authors / "results/half0A"), rates=True)
    assert losses[-1].value == pytest.approx(log.train_loss.values[-1])


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"run pip install 'caffe-transfer\[tensorboard\]'"):
        EventWriter(tmp_path)


def test_report_writes_them_and_reads_each_log_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read_once: list[Path] = []
    real = logs.read_logs

    def counted(files: Sequence[Path], scores: Any, **more: bool) -> logs.NetworkLog:
        read_once.extend(files)
        return real(files, scores, **more)

    monkeypatch.setattr(logs, "read_logs", counted)
    for run in ("one", "two"):
        write_log(tmp_path / run / "results", "half0A")
    runs = [str(tmp_path / run) for run in ("one", "two")]
    for folders, written in ((runs[:1], ["half0A"]), (runs, ["one/half0A", "two/half0A"])):
        read_once.clear()
        with pytest.raises(SystemExit) as end:
            main(["report", *folders, "--out", f"{tmp_path}/out", "--tensorboard",
                  f"{tmp_path}/tb{len(folders)}"])  # fmt: skip
        assert end.value.code == 0
        assert len(read_once) == len(folders)
        tb = tmp_path / f"tb{len(folders)}"
        assert f"curves: tensorboard --logdir {tb}" in capsys.readouterr().out
        for name in written:
            assert "learning_rate" in read(tb / name).Tags()["scalars"]


def test_without_a_log_report_says_so(tmp_path: Path) -> None:
    (tmp_path / "half0A").mkdir()
    done = call("report", str(tmp_path), "--tensorboard", "tb", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "curves: none, since no network has a log" in done.stdout
    assert not (tmp_path / "tb").exists()
