"""`caffe-transfer export`."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("safetensors", reason="pip install 'caffe-transfer[export]'")

from tests.models import write_model
from tests.test_shapes import fc, layer, source

NET = source("data", 10, 20) + fc("data", "fc3", "num_output: 2") + layer("Softmax", "fc3", "prob")


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "export", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m.caffemodel", "V1")
    (tmp_path / "net.prototxt").write_text(NET)


def test_what_was_written_is_told() -> None:
    done = call("m.caffemodel", "--net", "net.prototxt", "--to", "safetensors", "m.safetensors")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "wrote    m.safetensors",
        "weights  1 layer, 42 parameters",
        "input    data (batch, 20)",
        "output   prob",
    ]


def test_modules_are_checked(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[export]'")
    done = call("m.caffemodel", "--net", "net.prototxt", "--to", "pytorch", "m.pt")
    assert done.stdout.splitlines()[0] == "wrote    m.pt m.py"
    assert done.stdout.splitlines()[-1].startswith("checked  PyTorch against caffe-torch: at most")
    assert (tmp_path / "m.py").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.caffemodel", "--net", "none.prototxt", "--to", "onnx", "m.onnx"],
         "there is no file none.prototxt"),
        (["none.caffemodel", "--net", "net.prototxt", "--to", "onnx", "m.onnx"],
         "there is no file none.caffemodel"),
        (["net.prototxt", "--net", "net.prototxt", "--to", "onnx", "m.onnx"],
         "net.prototxt is not a whole .caffemodel"),
        (["m.caffemodel", "--net", "m.caffemodel", "--to", "onnx", "m.onnx"],
         "m.caffemodel: it computes nothing in phase TEST"),
        (["m.caffemodel", "--net", "net.prototxt", "--to", "onnx", "m.caffemodel"],
         "m.caffemodel does not end in .onnx"),
        (["m.caffemodel", "--net", "net.prototxt", "--to", "keras", "m.h5"],
         "'keras' is not one of 'safetensors', 'pytorch', 'onnx'"),
        (["m.caffemodel", "--net", "net.prototxt", "--to", "safetensors",
          "net.prototxt/m.safetensors"],
         "cannot write net.prototxt/m.safetensors"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(arguments: list[str], message: str) -> None:
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
