"""What is installed, what is missing."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer import doctor
from caffe_transfer.errors import EngineError
from caffe_transfer.formats.fatbin import GpuCode
from caffe_transfer.training import gpus
from caffe_transfer.training.engine import Engine
from tests.small_study import script


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


class TestGpus:
    """Which cards are there, and what each engine can use."""

    CARDS = (
        gpus.Card("0", "NVIDIA H200", "580.65.06", "9.0"),
        gpus.Card("1", "Tesla K20m", "470.57.02"),
    )

    @pytest.fixture(autouse=True)
    def engine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def check(_: Engine, number: str) -> None:
            if number not in self.usable:
                raise EngineError(f"no code for GPU {number}")

        self.usable = ["0"]
        monkeypatch.setattr(gpus, "cards", lambda: self.CARDS)
        monkeypatch.setattr(gpus, "check_gpus", check)
        monkeypatch.setattr(gpus, "gpu_code", lambda _: GpuCode(((9, 0),), ((9, 0),)))
        monkeypatch.setenv("CAFFE_BIN", str(script(tmp_path / "mine", "echo 1.0\n").program))

    def found(self) -> dict[str, doctor.Finding]:
        return {each.name: each for each in doctor.examine()}

    def test_cards_are_named(self) -> None:
        found = self.found()
        assert found["GPU 0"].found == "NVIDIA H200, compute capability 9.0, driver 580.65.06"
        assert found["GPU 1"].found == "Tesla K20m, driver 470.57.02"

    def test_one_of_two_can_be_used(self) -> None:
        said = self.found()["caffe on GPUs"].found
        assert said == "can use GPU 0; built for 9.0 and later; no code for GPU 1"

    def test_none_can_be_used(self) -> None:
        self.usable = []
        found = self.found()["caffe on GPUs"]
        assert (found.found, found.needed) == (None, False)
        assert found.remedy == "built for 9.0 and later; no code for GPU 0; no code for GPU 1"


def test_without_a_gpu(tmp_path: Path, caffe_bin: Path) -> None:
    done = call(tmp_path, CAFFE_BIN=str(caffe_bin), COLUMNS="400")
    assert "nvidia-smi lists none; networks are trained on the processor" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if "caffe on GPUs" in line)
    assert line.split()[0] == "none"
    assert "is built without CUDA; build Caffe with it by `make caffe-gpu`" in line


def test_every_required_package_is_found() -> None:
    found = {each.name: each.found for each in doctor.examine()}
    assert all(found[name] for name in doctor.REQUIRED)
    assert found["processor cores"] == str(len(os.sched_getaffinity(0)))


def test_it_knows_the_packages_of_setup_py() -> None:
    """Of what is installed and of every extra but that of the tests."""
    text = (Path(__file__).parent.parent / "setup.py").read_text()
    (call,) = (
        node.value for node in ast.parse(text).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )  # fmt: skip
    given = {each.arg: each.value for each in call.keywords}

    def names(node: ast.expr) -> set[str]:
        return {re.split(r"[<>=]", each)[0] for each in ast.literal_eval(node)}

    assert set(doctor.REQUIRED) == names(given["install_requires"])
    extras = given["extras_require"]
    assert isinstance(extras, ast.Dict)
    found = {
        ast.literal_eval(key): names(value)
        for key, value in zip(extras.keys, extras.values, strict=True)
        if key is not None
    }
    del found["test"]
    assert {extra: set(packages) for extra, (_, packages) in doctor.EXTRAS.items()} == found


def test_what_an_extra_lacks_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    found = {each.name: each for each in doctor.examine()}
    for name, extra, use in (
        ("onnx", "export", "export"), ("torch", "torch", "the engine caffe-torch"),
        ("tensorboardX", "tensorboard", "report --tensorboard"),
    ):  # fmt: skip
        assert found[name].remedy == f"pip install 'caffe-transfer[{extra}]', for {use}"
        assert not found[name].needed


def test_an_image_says_what_it_is_built_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "IMAGE", tmp_path / "image")
    assert not [each for each in doctor.examine() if each.name.startswith("image")]
    doctor.IMAGE.write_text("CUDA: 8.0.61\nNumPy of pycaffe: 1.16.6\n")
    found = [(each.name, each.found) for each in doctor.examine() if each.name.startswith("image")]
    assert found == [("image: CUDA", "8.0.61"), ("image: NumPy of pycaffe", "1.16.6")]
