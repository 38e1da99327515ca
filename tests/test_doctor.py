"""What is installed, what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer import doctor


def call(path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(path), **variables}
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "doctor"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_without_caffe_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = call(tmp_path)
    assert done.returncode == 2
    line = next(line for line in done.stdout.splitlines() if " caffe  " in line)
    assert line.split()[:2] == ["missing", "caffe"]
    assert "make caffe" in line


def test_with_caffe_all_is_well(tmp_path: Path, caffe_bin: Path) -> None:
    done = call(tmp_path, CAFFE_BIN=str(caffe_bin), COLUMNS="200")
    assert done.returncode == 0, done.stdout
    assert f"caffe version 1.0.0: {caffe_bin}" in done.stdout


def test_every_required_package_is_found() -> None:
    found = {each.name: each.found for each in doctor.examine()}
    assert all(found[name] for name in doctor.REQUIRED)
    assert found["processor cores"] == str(len(os.sched_getaffinity(0)))


def test_an_image_says_what_it_is_built_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "IMAGE", tmp_path / "image")
    assert not [each for each in doctor.examine() if each.name.startswith("image")]
    doctor.IMAGE.write_text("CUDA: 8.0.61\nNumPy of pycaffe: 1.16.6\n")
    found = [(each.name, each.found) for each in doctor.examine() if each.name.startswith("image")]
    assert found == [("image: CUDA", "8.0.61"), ("image: NumPy of pycaffe", "1.16.6")]
