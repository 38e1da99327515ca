"""`copy`, `compare` and `inspect` as a user calls them."""

import json
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


def test_what_copy_writes_as_hdf5_is_read_by_the_other_commands(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    for name in ("b.h5", "c.caffemodel.h5"):
        assert call("copy", "a.caffemodel", name, "--n", "2", cwd=tmp_path).returncode == 0
    done = call("inspect", "b.h5", cwd=tmp_path)
    assert done.stdout.startswith("caffemodel, format HDF5"), done.stderr
    done = call("compare", "--meaning", "b.h5", "c.caffemodel.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_copy_into_a_network(small_run: SmallRun) -> None:
    small_run.train("half0A")
    root = small_run.write("transfer0A0B_1_3")
    base = root / "basenet/snapshots/net_iter_4.caffemodel"
    done = call("copy", base, root / "init.caffemodel", "--n", "3", "--into", root)
    assert done.stdout == (
        "copied   conv1 conv2 conv3\nfresh    conv4 conv5 fc6 fc7 fc8\n"
        "ignored  conv4 conv5 fc6 fc7 fc8\n"
    )


def test_compare_prints_each_blob_and_says_with_its_status(tmp_path: Path) -> None:
    for name, options in {"a": {}, "b": {"form": "V1"}, "c": {"seed": 1}}.items():
        write_model(tmp_path / f"{name}.caffemodel", **options)  # type: ignore[arg-type]
    same = call("compare", "a.caffemodel", "a.caffemodel", cwd=tmp_path)
    assert (same.stdout, same.returncode) == ("identical          a.caffemodel\n", 0)
    meaning = call("compare", "a.caffemodel", "b.caffemodel", cwd=tmp_path)
    assert meaning.returncode == 1
    assert meaning.stdout.startswith(
        "same meaning       a.caffemodel\n    conv1 0          4x3x2x2"
    )
    done = call("compare", "--meaning", "a.caffemodel", "b.caffemodel", cwd=tmp_path)
    assert done.returncode == 0
    different = call("compare", "--meaning", "a.caffemodel", "c.caffemodel", cwd=tmp_path)
    assert different.returncode == 1
    assert "conv1 0          4x3x2x2 48 differ, at most by" in different.stdout


def test_compare_for_machines_and_of_trees(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_model(tmp_path / folder / "a.caffemodel", seed=len(folder))
    write_model(tmp_path / "y/b.caffemodel")
    done = call("compare", "x", "y", cwd=tmp_path)
    assert done.stdout.splitlines()[1:] == [
        "only in the second b.caffemodel", "1 identical, 1 only in the second",
    ]  # fmt: skip
    assert done.returncode == 1
    assert call("compare", "x", "y", "--common", cwd=tmp_path).returncode == 0
    (tmp_path / "y/a.caffemodel").write_bytes(b"cut")
    found = json.loads(call("compare", "x", "y", "--json", cwd=tmp_path).stdout.splitlines()[0])
    assert (found["verdict"], found["kind"]) == ("broken", "file")
    assert "y/a.caffemodel is not a whole" in found["lines"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["copy", "none", "b", "--n", "1"], "there is no file none"),
        (["copy", "cut.caffemodel", "b", "--n", "1"], "is not a whole .caffemodel"),
        (["copy", "a.caffemodel", "b", "--n", "0"], "choose 1 to 3"),
        (["copy", "a.caffemodel", "b.pth", "--n", "1"], "b.pth is no name for a Caffe model; use"),
        (["copy", "a.caffemodel", "b"], "Missing option '--n'"),
        (["copy", "a.caffemodel", "a.caffemodel/b", "--n", "1"], "cannot write"),
        (["inspect", "cut.caffemodel"], "is not a whole .caffemodel"),
        (["compare", "a.caffemodel", "none"], "there is no none; check the name"),
        (["compare", "a.caffemodel", "."], "a folder and a file; compare two of a kind"),
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
    assert not list(tmp_path.glob("b*"))
