"""`report` as a user calls it."""

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
    assert "at 0 of 1 cut, with a mean difference of -5.00 percentage points" in done.stdout
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


def test_several_runs_have_one_page(tmp_path: Path) -> None:
    for name in ("first", "second"):
        run_folder(tmp_path / name)
    done = call("first", "second", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.index("== first\n") < done.stdout.index("== second\n")
    assert done.stdout.count("page: report/index.html\n") == 2
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "index.html", "first", "second",
    }  # fmt: skip
    assert not (tmp_path / "first/report").exists()
    assert (tmp_path / "report/second/results.csv").exists()


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    run_folder(tmp_path / "demo")
    (tmp_path / "other.csv").write_text("a,b\n")
    for arguments, message in (
        (["none"], "none is not a folder"),
        (["."], "holds no folder of a network"),
        (["demo", "none"], "none is not a folder"),
        (["demo", "./demo"], "demo is named twice"),
        (["demo", "--published", "other.csv"], "other.csv is not a table of results"),
    ):
        done = call(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr
