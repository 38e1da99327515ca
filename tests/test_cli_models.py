"""`copy` and `inspect` as a user calls them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import write_model
from tests.small_study import SmallRun


def call(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def test_copy_prints_what_became_of_the_layers(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    done = call("copy", "a.caffemodel", "b.caffemodel", "--n", "2", cwd=tmp_path)
    assert done.stdout == "copied   conv1 conv2\nignored  fc3\n"
    assert (tmp_path / "b.caffemodel").exists()


def test_copy_into_a_network(small_run: SmallRun) -> None:
    small_run.train("half0A")
    root = small_run.write("transfer0A0B_1_3")
    base = root / "basenet/snapshots/net_iter_4.caffemodel"
    done = call("copy", base, root / "init.caffemodel", "--n", "3", "--into", root)
    assert done.stdout == (
        "copied   conv1 conv2 conv3\nfresh    conv4 conv5 fc6 fc7 fc8\n"
        "ignored  conv4 conv5 fc6 fc7 fc8\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["copy", "none", "b", "--n", "1"], "there is no file none"),
        (["copy", "cut.caffemodel", "b", "--n", "1"], "is not a whole .caffemodel"),
        (["copy", "a.caffemodel", "b", "--n", "0"], "choose 1 to 3"),
        (["copy", "a.caffemodel", "b"], "Missing option '--n'"),
        (["copy", "a.caffemodel", "a.caffemodel/b", "--n", "1"], "cannot write"),
        (["inspect", "cut.caffemodel"], "is not a whole .caffemodel"),
        (["inspect", "none"], "there is no file none"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_model(tmp_path / "a.caffemodel")
    (tmp_path / "cut.caffemodel").write_bytes((tmp_path / "a.caffemodel").read_bytes()[:-9])
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "b").exists()
