"""docs/export.md: its commands and its code run as they stand."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[export]'")
pytest.importorskip("safetensors", reason="pip install 'caffe-transfer[export]'")
pytest.importorskip("onnxscript", reason="pip install 'caffe-transfer[export]'")
pytest.importorskip("onnxruntime", reason="pip install 'caffe-transfer[export]'")

import cv2

from caffe_transfer.cli import cli
from caffe_transfer.export.deploy import read_deploy
from caffe_transfer.formats import caffemodel
from caffe_transfer.formats.writer import write_model
from tests.test_shapes import conv, fc, layer, pool

PAGE = Path(__file__).parent.parent / "docs/export.md"
NET = (
    layer("Data", "", "data label", 'data_param { source: "x" } transform_param { crop_size: 227 '
          "mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5 }")
    + conv("data", "conv1", "num_output: 4 kernel_size: 11 stride: 4")
    + layer("ReLU", "conv1", "conv1")
    + pool("conv1", "pool1", "kernel_size: 3 stride: 2")
    + fc("pool1", "fc8", "num_output: 10")
    + layer("SoftmaxWithLoss", "fc8 label", "loss")
)  # fmt: skip


def write_files() -> None:
    """What the page's reader has: a net, a model and an image."""
    Path("train_val.prototxt").write_text(NET)
    random = np.random.default_rng(0)
    layers = []
    for made, _, found in read_deploy(Path("train_val.prototxt")).walk():
        blobs = tuple(
            caffemodel.Blob(shape, random.normal(0, 0.1, int(np.prod(shape))).astype(np.float32))
            for shape in found.parameters
        )
        layers.append(caffemodel.Layer(made.name, made.type, blobs))
    with Path("caffenet.caffemodel").open("wb") as file:
        write_model("CaffeNet", layers, file)
    cv2.imwrite("cat.jpg", random.integers(0, 256, (300, 280, 3), dtype=np.uint8))


def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_files()
    text = PAGE.read_text()
    commands = re.findall(r"^caffe-transfer (.+)$", text, re.M)
    assert len(commands) == 3
    for command in commands:
        cli.main(shlex.split(command), standalone_mode=False)
    said = capsys.readouterr().out
    assert said.count("left out loss") == 3
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].strip("[]") == shown[1].removeprefix("tensor([").removesuffix("])")
    assert shown[2:] == [
        "conv1.bias (4,) summand of each output",
        "conv1.weight (4, 3, 11, 11) filters (outputs, inputs / group, height, width)",
        "fc8.bias (10,) summand of each output",
        "fc8.weight (10, 2916) (outputs, inputs)",
    ]
    prepared = names["prepare"]("cat.jpg", names["PREPROCESSING"])
    image = cv2.imread("cat.jpg")
    assert image is not None
    pixel = cv2.resize(image, (256, 256))[14, 14].astype(np.float32)
    assert prepared.shape == (1, 3, 227, 227)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared[0, :, 0, 0], (pixel - [104, 117, 123]) / 2)
