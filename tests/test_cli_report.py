"""`report` as a user calls it."""

import csv
import subprocess
import sys
from pathlib import Path

from caffe_transfer.nets.cut_record import CutRecord, cut_text
from caffe_transfer.report.results import read_results
from tests.test_results import log, network

SCORES = {
    "half0B": 0.5,
    "transfer0A0B_1_2": 0.45,
    "transfer-ft0A0B_1_2": 0.6,
    "transfer-ft0B0B_1_2": 0.65,
}


def call(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "report", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def run_folder(root: Path) -> Path:
    for name, score in SCORES.items():
        network(root / "results", name, log([3, 2], [score]))
    return root


def test_a_runs_report_lies_in_its_folder(tmp_path: Path) -> None:
    run_folder(tmp_path / "demo")
    done = call("demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (words for words in map(str.split, done.stdout.splitlines()) if words[:1] == ["2"])
    assert line == ["2", "50.00", "65.00", "45.00", "60.00", "10.00"]
    text = " ".join(done.stdout.split())
    assert "at 0 of 1 cut, with a mean difference of -5.00 percentage points, which" in text
    assert "4 of 4 networks have fewer than 30 tests (the fewest 1), so that" in text
    assert "- NOT TESTED: 2, BnB: with its own layers frozen" in text
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "4 networks, 0 complete, 0 without scores\n" in done.stdout
    assert "figures: figure2\npage: demo/report/index.html\n" in done.stdout
    assert {path.name for path in (tmp_path / "demo/report").iterdir()} == {
        "results.csv", "decomposition.csv", "table.md", "index.html",
        "figure2.png", "figure2.pdf", "figure2.svg",
    }  # fmt: skip
    assert "Verdict, Random halves:\n- Frozen features: base - transfer is 5.00" in done.stdout
    assert done.stdout.endswith("What these intervals mean: demo/report/table.md\n")
    top1 = {
        row.network.name: row.top1
        for row in read_results(tmp_path / "demo/report/results.csv").rows
    }
    assert top1 == SCORES


def test_a_custom_split_with_named_cuts(tmp_path: Path) -> None:
    """The target's base is there, the source's was given; names are longer than 80 columns hold."""
    for name, score in {"halfpetsB": 0.5, "transferpetsAB_1_2": 0.45}.items():
        path = network(tmp_path / "run/results", name, log([3, 2], [score]))
        (path / "cut.json").write_text(cut_text(CutRecord(2, "inception_4a/output", ())))
    given = tmp_path / "run/results/halfpetsA"
    given.mkdir()
    (given / "manifest.json").write_text('{"given": "googlenet.caffemodel"}')
    done = call("run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (
        words for words in map(str.split, done.stdout.splitlines()) if words[:2] == ["2", "50.00"]
    )
    assert line == ["2", "50.00", "45.00", "inception_4a/output"]
    assert "Split pets: top-1 accuracy" in done.stdout
    assert "Verdict, Target halfpetsB:\n" in done.stdout
    assert "figures: figure2\n" in done.stdout


def test_other_folders_go_to_report_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    networks = run_folder(tmp_path / "x").joinpath("results")
    (networks / "notes").mkdir()
    done = call(networks, "--published", networks, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "report/index.html").exists()
    assert done.stderr.count("note: ") == 2
    assert "notes was left out" in done.stderr
    assert call(networks, "--out", "y", cwd=tmp_path).returncode == 0
    assert (tmp_path / "y/index.html").exists()


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    run_folder(tmp_path / "demo")
    (tmp_path / "other.csv").write_text("a,b\n")
    for arguments, message in (
        (["none"], "none is not a folder"),
        (["."], "holds no folder of a network"),
        (["demo", "--published", "other.csv"], "other.csv is not a table of results"),
    ):
        done = call(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr


def test_a_report_by_another_metric_and_without_intervals(tmp_path: Path) -> None:
    demo = run_folder(tmp_path / "demo")
    (demo / "results/half0B/job.o1").write_text(log([3, 2], [0.7, 0.2]))
    done = call("demo", "--metric", "last", "--bare", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Top-1 accuracy is the accuracy of the last test." in done.stdout
    (line,) = (words for words in map(str.split, done.stdout.splitlines()) if words[:1] == ["2"])
    assert line[1] == "20.00"
    figure = (demo / "report/figure2.svg").read_text()
    assert "95 % intervals" not in figure
    assert "Top-1 accuracy, last test" in figure
    with (demo / "report/results.csv").open() as file:
        base = next(row for row in csv.DictReader(file) if row["network"] == "half0B")
    assert (base["top1"], base["top1_last"], base["tests"]) == ("0.45", "0.2", "2")


def test_an_older_table_has_not_every_metric(tmp_path: Path) -> None:
    run_folder(tmp_path / "demo")
    old = "network,mode,base,target,split,n,fine_tuned,iterations,complete,top1,top1_last,"
    old += "valid_loss,train_loss,stalled\nhalf0B,base,,B,0,0,false,900,true,0.5,0.5,1,1,false\n"
    (tmp_path / "old.csv").write_text(old)
    done = call("demo", "--published", "old.csv", "--metric", "last10", cwd=tmp_path)
    assert done.returncode == 0
    assert "note: 1 networks were left out" in done.stderr
    assert "has no top1_last10" in done.stderr
