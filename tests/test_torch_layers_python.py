"""Python layers, run by real pycaffe and by the stand-in for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch.layers.inputs import Input
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.pycaffe import Blob
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_layers import Draw, PyCaffe

# EuclideanLossLayer is that of Caffe's examples/pycaffe/layers/pyloss.py.
MODULE = '''
import json
import caffe
import numpy as np


class EuclideanLossLayer(caffe.Layer):
    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise Exception("Inputs must have the same dimension.")
        self.diff = np.zeros_like(bottom[0].data, dtype=np.float32)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.diff[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.diff**2) / bottom[0].num / 2.

    def backward(self, top, propagate_down, bottom):
        for i in range(2):
            if not propagate_down[i]:
                continue
            if i == 0:
                sign = 1
            else:
                sign = -1
            bottom[i].diff[...] = sign * self.diff / bottom[i].num


class Times(caffe.Layer):
    """A learned factor for each channel, and the number of batches of the training."""

    def setup(self, bottom, top):
        self.start = json.loads(self.param_str)["start"]
        self.blobs.add_blob(bottom[0].channels)
        self.blobs[0].data[...] = self.start
        self.blobs.add_blob(1)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.factors = self.blobs[0].data.reshape(-1, *[1] * (len(bottom[0].shape) - 2))
        top[0].data[...] = self.factors * bottom[0].data
        if self.phase == caffe.TRAIN:
            self.blobs[1].data[...] += 1

    def backward(self, top, propagate_down, bottom):
        product = bottom[0].data * top[0].diff
        axes = tuple(i for i in range(product.ndim) if i != 1)
        self.blobs[0].diff[...] += product.sum(axis=axes)
        if propagate_down[0]:
            bottom[0].diff[...] = self.factors * top[0].diff


class Growing(caffe.Layer):
    """A data layer whose batches grow."""

    def setup(self, bottom, top):
        self.step = 0

    def reshape(self, bottom, top):
        self.step += 1
        top[0].reshape(self.step, 3, 2, 4)

    def forward(self, bottom, top):
        top[0].data[...] = np.arange(top[0].count).reshape(top[0].data.shape) / 9.

    def backward(self, top, propagate_down, bottom):
        pass


class Halved(caffe.Layer):
    """Works in place."""

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        top[0].data[...] *= 0.5

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] *= 0.5


class Wrong(caffe.Layer):
    def setup(self, bottom, top):
        top[0].reshape(1)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        bottom[0].data[...] = 1


class Unfinished(caffe.Layer):
    def setup(self, bottom, top):
        self.size = caffe.io.load_image("x.png")


nothing = 3
'''
TRAINED = """
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "y"
  input_param { shape { dim: 4 dim: 3 dim: 2 dim: 2 } } }
layer { name: "times" type: "Python" bottom: "x" top: "z" param { lr_mult: 1 } param { lr_mult: 0 }
  python_param { module: "house" layer: "Times" param_str: '{"start": 1.5}' } }
layer { name: "halved" type: "Python" bottom: "z" top: "z"
  python_param { module: "house" layer: "Halved" } }
layer { name: "loss" type: "Python" bottom: "z" bottom: "y" top: "loss" loss_weight: 2
  python_param { module: "house" layer: "EuclideanLossLayer" } }
"""
GROWING = """
layer { name: "in" type: "Python" top: "x" python_param { module: "house" layer: "Growing" } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""
REFERENCE = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
import caffe
folder, out = sys.argv[1], {}
given = np.load(folder + "/given.npz")
net = caffe.Net(folder + "/trained.prototxt", caffe.TRAIN)
net.blobs["x"].data[...], net.blobs["y"].data[...] = given["x"], given["y"]
for _ in range(2):
    net.forward()
net.backward()
out.update({name: net.blobs[name].data.copy() for name in ("z", "loss")})
out.update({"x diff": net.blobs["x"].diff.copy(), "y diff": net.blobs["y"].diff.copy()})
for index, blob in enumerate(net.params["times"]):
    out[f"times {index}"], out[f"times diff {index}"] = blob.data.copy(), blob.diff.copy()
caffe.set_random_seed(3)
net = caffe.Net(folder + "/growing.prototxt", caffe.TEST)
for step in range(3):
    out[f"growing {step}"] = net.forward()["fc"].copy()
np.savez(folder + "/out.npz", **out)
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the module `house`, which later tests do not find imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "house.py").write_text(MODULE)
    yield tmp_path
    for name in ("house", "caffe"):
        sys.modules.pop(name, None)


def test_layers_as_pycaffe_runs_them(pycaffe: PyCaffe, house: Path) -> None:
    draw = Draw(1)
    given = {name: draw.values((4, 3, 2, 2)) for name in "xy"}
    np.savez(house / "given.npz", **given)  # type: ignore[arg-type]
    (house / "trained.prototxt").write_text(TRAINED)
    (house / "growing.prototxt").write_text(GROWING)
    pycaffe(REFERENCE, house)
    wanted = np.load(house / "out.npz")
    net = _net(TRAINED, pb.TRAIN)
    source, times = net.layers[:2]
    assert isinstance(source, Input)
    # In the fastest order of images, which Python layers do not see.
    source.values = [
        torch.from_numpy(given[name]).contiguous(memory_format=torch.channels_last).requires_grad_()
        for name in "xy"
    ]
    values: dict[str, torch.Tensor] = {}
    net.forward()
    outputs = net.forward()
    outputs.loss.backward()  # type: ignore[no-untyped-call]
    values["loss"] = outputs.blobs["loss"]
    for name, bottom in zip("xy", source.values, strict=True):
        assert bottom.grad is not None
        values[f"{name} diff"] = bottom.grad
    assert times.blobs[0].grad is not None
    values |= {"times 0": times.blobs[0].detach(), "times 1": times.blobs[1].detach(),
               "times diff 0": times.blobs[0].grad}  # fmt: skip
    for name, found in values.items():
        np.testing.assert_allclose(found.numpy(), wanted[name], rtol=1e-5, err_msg=name)
    assert wanted["times 1"].tolist() == [2]
    growing = _net(GROWING, pb.TEST)
    for step in range(3):
        found = growing.forward().blobs["fc"]
        np.testing.assert_allclose(found.numpy(), wanted[f"growing {step}"], rtol=1e-5)


def test_nothing_is_differentiated_where_nothing_learns(house: Path) -> None:
    net = _net(TRAINED, pb.TEST)
    for parameter in net.parameters:
        parameter.value.requires_grad_(False)
    assert not net.forward().loss.requires_grad


@pytest.mark.parametrize(
    ("module", "layer", "message"),
    [
        ("nowhere", "L", "cannot import the module 'nowhere': ModuleNotFoundError: No module"),
        ("house", "Absent", "finds no class 'Absent' of caffe.Layer in 'house'"),
        ("house", "nothing", "finds no class 'nothing'"),
        ("house", "EuclideanLossLayer", "fails in EuclideanLossLayer.setup: Exception: Need two"),
        ("house", "Unfinished", "AttributeError: caffe-torch has caffe.Layer, caffe.TRAIN and"),
        ("house", "Times", "fails in Times.setup: JSONDecodeError"),
        ("house", "Wrong", "fails in Wrong.forward: ValueError: assignment destination is read-"),
        ("broken", "L", "cannot import the module 'broken': SyntaxError"),
    ],
)
def test_what_cannot_be_run(module: str, layer: str, message: str, house: Path) -> None:
    (house / "broken.py").write_text("import caffe\nclass L(caffe.Layer:\n")
    text = f"""
    layer {{ name: "in" type: "Input" top: "b" input_param {{ shape {{ dim: 2 }} }} }}
    layer {{ name: "x" type: "Python" bottom: "b" top: "t"
      python_param {{ module: "{module}" layer: "{layer}" }} }}"""
    with pytest.raises(BadInput) as caught:
        _net(text, pb.TRAIN).forward()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blobs_have_the_old_names_of_axes() -> None:
    blob = Blob((4, 3))
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (4, 3, 1, 1, 12)
    blob.data[...] = 7
    blob.reshape(4, 3)
    assert blob.data.min() == 7
    blob.reshape(2)
    assert (blob.shape, blob.diff.shape, blob.data.max()) == ((2,), (2,), 0)


def _net(text: str, phase: int) -> Net:
    param = text_format.Parse(text, pb.NetParameter())
    state = pb.NetState(phase=phase)  # type: ignore[arg-type]
    return Net(param, state, Rng(3), torch.device("cpu"))
