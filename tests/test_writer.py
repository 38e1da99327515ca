"""Models as this package writes them: protobuf, real Caffe and our reader read them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.formats.caffemodel import Blob, Layer, open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.writer import write_model, write_net

LAYERS = (
    Layer("conv1", "Convolution", (
        Blob((2, 3, 1, 1), np.arange(6, dtype=np.float32)),
        Blob((2,), np.array([0.5, -0.5], np.float32)),
    )),
    Layer("relu1", "ReLU", ()),
)  # fmt: skip
NET = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 2 dim: 2 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 2 kernel_size: 1 } }
"""
LOAD = """
import sys, os, caffe
os.chdir(sys.argv[1])
net = caffe.Net('net.prototxt', sys.argv[2], caffe.TEST)
sys.stdout.write(' '.join(blob.data.tobytes().hex() for blob in net.params['conv1']))
"""


def write(path: Path, layers: tuple[Layer, ...], hdf5: bool = False) -> Path:
    with path.open("w+b") as file:
        write_model("net", layers, file, hdf5)
    return path


def test_protobuf_reads_what_was_written(tmp_path: Path) -> None:
    net = pb.NetParameter.FromString(write(tmp_path / "model", LAYERS).read_bytes())
    assert net.name == "net"
    assert [(layer.name, layer.type) for layer in net.layer] == [
        ("conv1", "Convolution"), ("relu1", "ReLU"),
    ]  # fmt: skip
    assert [list(blob.shape.dim) for blob in net.layer[0].blobs] == [[2, 3, 1, 1], [2]]
    assert [list(blob.data) for blob in net.layer[0].blobs] == [[0, 1, 2, 3, 4, 5], [0.5, -0.5]]


@pytest.mark.parametrize("name", ["net.caffemodel", "net.caffemodel.h5"])
def test_real_caffe_reads_what_was_written(
    name: str, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    write(tmp_path / name, LAYERS[:1], hdf5=name.endswith(".h5"))
    expected = " ".join(blob.tobytes().hex() for blob in LAYERS[0].blobs)
    assert pycaffe(LOAD, tmp_path, name) == expected


shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)


@given(st.lists(shapes, min_size=1, max_size=4), st.booleans(), st.booleans(), st.integers(0, 99))
def test_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[tuple[int, ...]],
    double: bool,
    hdf5: bool,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    dtype = np.float64 if double else np.float32
    blobs = tuple(
        Blob(shape, random.standard_normal(int(np.prod(shape))).astype(dtype)) for shape in shapes
    )
    path = write(tmp_path_factory.mktemp("model") / "model", (Layer("a", "B", blobs),), hdf5)
    with open_model(path) as model:
        (layer,) = model.layers
        assert [blob.shape for blob in layer.blobs] == shapes
        assert [blob.values.dtype for blob in layer.blobs] == [dtype] * len(shapes)
        assert [blob.tobytes() for blob in layer.blobs] == [blob.tobytes() for blob in blobs]


@pytest.mark.parametrize("hdf5", [False, True])
def test_a_single_number_and_a_parameter_of_another_layer(tmp_path: Path, hdf5: bool) -> None:
    number, vector = Blob((), np.array([0.25], np.float32)), Blob((1,), np.ones(1, np.float32))
    settings = pb.NetParameter(
        layer=[pb.LayerParameter(name="p", type="P", bottom=["x"], phase="TEST")]
    )
    own = {1: number} if hdf5 else {0: vector, 1: number}
    with (tmp_path / "model").open("w+b") as file:
        write_net(settings, [own], file, hdf5)
    with open_model(tmp_path / "model") as model:
        (layer,) = model.layers
        found = {index: (blob.shape, blob.tobytes()) for index, blob in layer.by_index.items()}
    assert found == {index: (blob.shape, blob.tobytes()) for index, blob in own.items()}
    if not hdf5:
        content = (tmp_path / "model").read_bytes()
        assert pb.NetParameter.FromString(content).SerializeToString() == content
