"""`generate` as a user calls it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.training.engine import Engine
from tests.small_study import SmallRun, write_study


def call(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "generate", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def test_the_readmes_example(tmp_path: Path) -> None:
    done = call(tmp_path, "--n", "4", "--mode", "transfer")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"results/transfer0A0B_1_4/{name}"
        for name in (
            "train_val.prototxt",
            "deploy.prototxt",
            "solver.prototxt",
            "cut.json",
            "basenet",
        )
    ]
    assert all((tmp_path / line).is_symlink() or (tmp_path / line).is_file()
               for line in done.stdout.splitlines())  # fmt: skip


def test_real_caffe_starts_the_training_of_a_generated_network(
    small_run: SmallRun, tmp_path: Path, caffe_bin: Path
) -> None:
    """As a user would: generate, then call caffe by hand in the folder."""
    (tmp_path / "study").mkdir()
    study = write_study(tmp_path / "study")
    done = call(small_run.folder.root, "--n", "4", "--mode", "transfer", "--study", str(study))
    assert done.returncode == 0, done.stderr
    small_run.train("half0A")
    folder = small_run.folder.results / "transfer0A0B_1_4"
    base = folder / "basenet/snapshots/net_iter_4.caffemodel"
    subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "copy", base, folder / "init.caffemodel",
         "--n", "4"], check=True, capture_output=True,
    )  # fmt: skip
    (folder / "snapshots").mkdir()
    argv = Engine("caffe", caffe_bin).train("solver.prototxt", weights="init.caffemodel")
    trained = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    assert (folder / "snapshots/net_iter_4.caffemodel").exists()


def test_all_networks_of_the_paper(tmp_path: Path) -> None:
    done = call(tmp_path, "--all", "--dialect", "2014", "--out", "authors")
    assert done.returncode == 0
    assert len(list((tmp_path / "authors").iterdir())) == 170


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = call(tmp_path, "--all", "--study", "fashion-mnist", "--dry-run")
    assert done.returncode == 0
    assert "results/transfer-ft0A0B_1_7/solver.prototxt" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--mode transfer", "mode transfer needs --n, the cut below which"),
        ("--n 0 --mode transfer", "n = 0 is not a layer to cut at"),
        ("--n 8 --mode transfer", "takes n from 1 to 7"),
        ("--n 4 --mode transfers", "'transfers' is not one of 'base', 'selffer', 'transfer'"),
        ("--n 4", "either --mode .* or --all"),
        ("--all --mode base", "either --mode .* or --all"),
        ("--mode base --study none", "no study 'none'"),
        ("--mode base --dialect 2015", "'2015' is not one of '1.0', '2014'"),
        ("--mode base --study fashion-mnist --dialect 2014", "choose dialect 1.0"),
        ("--mode base --out taken", "cannot write taken/half0A"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: str, message: str) -> None:
    (tmp_path / "taken").write_text("a file")
    done = call(tmp_path, *arguments.split())
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
