"""Parameters by name, from models of every age."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.export.deploy import Deploy, deployed
from caffe_transfer.export.weights import Weight, read_weights
from caffe_transfer.formats import caffemodel
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.writer import write_model as write_layers
from tests.models import write_model
from tests.test_shapes import conv, fc, layer, source

NET = Path("net.prototxt")


def made(text: str) -> Deploy:
    return deployed(text_format.Parse(text, pb.NetParameter()))


FC = fc("data", "fc3", "num_output: 2")
SIMPLE = source("data", 1, 20) + FC


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_models_of_every_format(tmp_path: Path, form: str) -> None:
    arrays = write_model(tmp_path / "m.caffemodel", form)
    found = read_weights(tmp_path / "m.caffemodel", made(SIMPLE), NET)
    assert [(each.name, each.index, each.meaning) for each in found] == [
        ("fc3.weight", 0, "(outputs, inputs)"),
        ("fc3.bias", 1, "summand of each output"),
    ]
    for each, array in zip(found, arrays["fc3"], strict=True):
        np.testing.assert_array_equal(each.values, array)


def stored(path: Path, **layers: list[tuple[int, ...]]) -> None:
    """Write a model whose blobs count up from 1."""
    found, count = [], 1
    for name, shapes in layers.items():
        blobs = []
        for shape in shapes:
            size = int(np.prod(shape))
            values = np.arange(count, count + size, dtype=np.float32)
            blobs.append(caffemodel.Blob(shape, values))
            count += size
        found.append(caffemodel.Layer(name, "", tuple(blobs)))
    with path.open("w+b") as file:
        write_layers("net", found, file, hdf5=path.suffix == ".h5")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({}, "lacks parameters of layer 'fc3' of net.prototxt; name the net"),
        ({"fc3": [(2, 20)]}, "lacks parameters of layer 'fc3'"),
        ({"fc3": [(2, 20), (2,), (2,)]}, r"'fc3' \(InnerProduct\) has 3 blobs in .* and 2 in net"),
        ({"fc3": [(2, 21), (2,)]}, "has blob 0 of the shape 2x21 in .* and 2x20 in net.prototxt"),
    ],
)
def test_models_that_do_not_fit(
    tmp_path: Path, layers: dict[str, list[tuple[int, ...]]], message: str
) -> None:
    stored(tmp_path / "m.caffemodel", other=[(1,)], **layers)
    with pytest.raises(BadInput, match=message) as caught:
        read_weights(tmp_path / "m.caffemodel", made(SIMPLE), NET)
    assert "\n" not in str(caught.value)


def test_all_that_is_missing_is_counted(tmp_path: Path) -> None:
    stored(tmp_path / "m.caffemodel", other=[(1,)])
    more = SIMPLE + fc("fc3", "fc4", "num_output: 2") + fc("fc4", "fc5", "num_output: 2")
    with pytest.raises(BadInput, match=r"of layer 'fc3' and 2 more layers of net\.prototxt"):
        read_weights(tmp_path / "m.caffemodel", made(more), NET)


def test_layers_of_one_name(tmp_path: Path) -> None:
    stored(tmp_path / "m.caffemodel", fc3=[(2, 20), (2,)])
    twice = SIMPLE + FC.replace('top: "fc3"', 'top: "again"')
    with pytest.raises(
        BadInput, match=r"^net.prototxt: two layers with parameters have the name 'fc3'"
    ):
        read_weights(tmp_path / "m.caffemodel", made(twice), NET)


@pytest.mark.parametrize("suffix", [".caffemodel", ".caffemodel.h5"])
def test_shared_parameters(tmp_path: Path, suffix: str) -> None:
    """Of several copies the last counts; HDF5 files have one."""
    shared = 'param { name: "w" } param { name: "b" }'
    net = source("data", 1, 2) + "".join(
        fc(bottom, top, "num_output: 2").replace("inner_product", f"{shared} inner_product")
        for bottom, top in (("data", "one"), ("one", "two"))
    )
    path = tmp_path / f"m{suffix}"
    blobs = [(2, 2), (2,)]
    stored(path, **({"one": blobs} if suffix.endswith("h5") else {"one": blobs, "two": blobs}))
    found = read_weights(path, made(net), NET)
    first = 1 if suffix.endswith("h5") else 7
    assert [(each.name, float(each.values.flat[0])) for each in found] == [
        ("one.weight", first), ("one.bias", first + 4),
        ("two.weight", first), ("two.bias", first + 4),
    ]  # fmt: skip


def test_what_parameters_are_called(tmp_path: Path) -> None:
    net = (
        source("data", 1, 3, 6, 6)
        + conv("data", "up", "num_output: 4 kernel_size: 2", "Deconvolution")
        + layer("BatchNorm", "up", "bn")
        + layer("Scale", "bn", "scale", "scale_param { bias_term: true }")
        + layer("PReLU", "scale", "prelu")
        + layer("Bias", "prelu", "bias")
        + fc("bias", "fc", "num_output: 2 transpose: true bias_term: false")
    )
    shapes: dict[str, list[tuple[int, ...]]] = {
        "up": [(3, 4, 2, 2), (4,)], "bn": [(4,), (4,), (1,)], "scale": [(4,), (4,)],
        "prelu": [(4,)], "bias": [(4,)], "fc": [(196, 2)],
    }  # fmt: skip
    stored(tmp_path / "m.caffemodel", **shapes)
    found = read_weights(tmp_path / "m.caffemodel", made(net), NET)
    assert [each.name for each in found] == [
        "up.weight", "up.bias", "bn.mean", "bn.variance", "bn.scale_factor", "scale.gamma",
        "scale.beta", "prelu.slope", "bias.bias", "fc.weight",
    ]  # fmt: skip
    assert found[0].meaning == "filters (inputs, outputs / group, height, width)"
    assert found[2].meaning.startswith("sum of the means of each channel; divide by scale_factor")
    assert found[-1].meaning == "(inputs, outputs)"
    assert all(isinstance(each, Weight) for each in found)


def test_recurrent_and_embedded_parameters(tmp_path: Path) -> None:
    net = (
        source("x", 2, 1) + source("cont", 2, 1) + source("static", 1, 4)
        + layer("Embed", "x", "embed", "embed_param { num_output: 3 input_dim: 5 }")
        + layer("LSTM", "embed cont static", "lstm", "recurrent_param { num_output: 2 }")
        + layer("RNN", "lstm cont", "rnn", "recurrent_param { num_output: 2 }")
        + layer("Parameter", "", "table", "parameter_param { shape { dim: 2 dim: 1 dim: 2 } }")
        + layer("Scale", "rnn table", "end", "scale_param { axis: 0 bias_term: true }")
    )  # fmt: skip
    deploy = made(net)
    stored(tmp_path / "m.caffemodel", **{
        each.name: list(found.parameters) for each, _, found in deploy.walk() if found.parameters
    })  # fmt: skip
    assert [each.name for each in read_weights(tmp_path / "m.caffemodel", deploy, NET)] == [
        "embed.weight", "embed.bias", "lstm.weight_input", "lstm.bias", "lstm.weight_static",
        "lstm.weight_hidden", "rnn.weight_input", "rnn.bias", "rnn.weight_hidden",
        "rnn.weight_output", "rnn.bias_output", "table.value", "end.beta",
    ]  # fmt: skip
