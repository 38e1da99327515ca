"""Nets of caffe-torch: which layers, which parameters learn, what is loaded."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch.layers import known_types
from caffe_transfer.caffe_torch.layers.inputs import Input
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.optimizers import Optimizer
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.solver_nets import build_net
from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.writer import write_net
from tests.models import write_model

INPUT = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }"""


def fc(name: str, bottom: str, more: str = "", outputs: int = 3) -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {more} '
        f'inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}'
    )


def build(*layers: str, phase: int = pb.TRAIN) -> Net:
    param = text_format.Parse("\n".join((INPUT, *layers)), pb.NetParameter())
    return Net(param, pb.NetState(phase=phase), Rng(0), torch.device("cpu"))  # type: ignore[arg-type]


def test_frozen_parameters_get_no_gradient_and_nothing_below_is_computed() -> None:
    frozen = "param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 }"
    loss = 'layer { name: "loss" type: "EuclideanLoss" bottom: "c" bottom: "x" top: "loss" }'
    net = build(fc("a", "x", frozen), fc("b", "a", frozen), fc("c", "b"), loss)
    source = net.layers[0]
    assert isinstance(source, Input)
    source.values[0] = torch.randn(2, 3)
    outputs = net.forward()
    before = [parameter.value.clone() for parameter in net.parameters]
    outputs.loss.backward()  # type: ignore[no-untyped-call]
    assert [p.value.grad is None for p in net.parameters] == [True] * 4 + [False] * 2
    Optimizer(pb.SolverParameter(weight_decay=0.5, momentum=0.9), net.parameters).apply(0.1, 0)
    changed = [not torch.equal(p.value, old) for p, old in zip(net.parameters, before, strict=True)]
    assert changed == [False] * 4 + [True] * 2


def test_parameters_shared_by_name_learn_from_both() -> None:
    shared = 'param { name: "w" } param { name: "b" lr_mult: 2 }'
    net = build(fc("a", "x", shared), fc("b", "a", 'param { name: "w" } param { name: "b" }'))
    assert len(net.parameters) == 2
    assert net.layers[1].blobs[0] is net.layers[2].blobs[0]
    with pytest.raises(BadInput, match=r"layer 'b' .* with another lr_mult than layer 'a'"):
        build(fc("a", "x", shared), fc("b", "a", 'param {} param { name: "b" lr_mult: 3 }'))
    with pytest.raises(BadInput, match=r"shape is \(3, 3\), not \(2, 3\)"):
        build(fc("a", "x", shared), fc("b", "a", 'param { name: "w" }', outputs=2))


def test_permissive_sharing_asks_only_for_the_count() -> None:
    seen = 'param { name: "w" share_mode: PERMISSIVE }'
    net = build(fc("a", "x", 'param { name: "w" }', outputs=2), fc("b", "a", seen, outputs=3))
    assert len(net.parameters) == 3
    assert net.layers[2].blobs[0].shape == (3, 2)
    net.forward()


def test_outputs_are_sorted_by_name_and_losses_are_weighed() -> None:
    loss = 'layer { name: "z" type: "EuclideanLoss" bottom: "b" bottom: "x" top: "z" '
    net = build(fc("b", "x"), fc("a", "x"), loss + "loss_weight: 3 }")
    outputs = net.forward()
    assert list(outputs.blobs) == ["a", "z"]
    assert float(outputs.loss.detach()) == pytest.approx(3 * float(outputs.blobs["z"]))


def test_losses_without_a_top_as_in_2014() -> None:
    net = build(
        fc("b", "x"), 'layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "x" }'
    )
    outputs = net.forward()
    assert outputs.blobs == {}
    assert outputs.loss.requires_grad


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_models_are_loaded_by_the_names_of_layers(tmp_path: Path, form: str) -> None:
    arrays = write_model(tmp_path / "m.caffemodel", form)
    net = build(
        'layer { name: "wide" type: "Input" top: "y" input_param { shape { dim: 1 dim: 20 } } }',
        fc("fc3", "y", outputs=2), fc("own", "x"),
    )  # fmt: skip
    said: list[str] = []
    own = net.layers[3].blobs[0].clone()
    with open_model(tmp_path / "m.caffemodel") as model:
        net.load(model, said.append)
    np.testing.assert_array_equal(net.layers[2].blobs[0].detach().numpy(), arrays["fc3"][0])
    assert torch.equal(net.layers[3].blobs[0], own)
    assert said == [f"Ignoring source layer {name}" for name in ("conv1", "relu1", "conv2")]


def test_a_model_of_other_shapes_names_both(tmp_path: Path) -> None:
    write_model(tmp_path / "m.caffemodel")
    with open_model(tmp_path / "m.caffemodel") as model:
        with pytest.raises(BadInput, match=r"'fc3' has the shape \(2, 20\) in .*\(3, 3\) in the"):
            build(fc("fc3", "x")).load(model, lambda _: None)
        with pytest.raises(BadInput, match=r"layer 'fc3' has 2 blobs in .* and 1 in the net"):
            build(fc("fc3", "x").replace("num", "bias_term: false num")).load(model, lambda _: None)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('layer { name: "l" type: "Lstm" }', "has the unknown type 'Lstm'; did you mean LSTM"),
        (fc("l", "nowhere"), "layer 'l' reads blob 'nowhere', which no layer before it makes"),
        (fc("x", "x").replace('top: "x"', 'top: "x" top: "y"'), r"has 2 tops; it takes 1"),
        ('layer { name: "l" type: "Eltwise" bottom: "x" top: "y" }', "has 1 bottoms; it takes 2"),
        ('layer { name: "l" type: "Input" top: "x" input_param { shape { dim: 1 } } }',
         "layer 'l' makes blob 'x', which is there already"),
    ],
)  # fmt: skip
def test_nets_that_cannot_be(layer: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build(layer)


def test_every_type_that_the_model_zoos_classifiers_use_is_known() -> None:
    wanted = """Data ImageData HDF5Data MemoryData DummyData Input Convolution Deconvolution
        InnerProduct Pooling LRN BatchNorm Scale Bias ReLU PReLU ELU Sigmoid TanH AbsVal Power Exp
        Log BNLL Dropout Softmax SoftmaxWithLoss SigmoidCrossEntropyLoss EuclideanLoss HingeLoss
        InfogainLoss ContrastiveLoss Accuracy ArgMax Concat Slice Split Eltwise Flatten Reshape
        Crop Reduction Tile Silence Threshold MVN"""
    assert set(wanted.split()) <= set(known_types())


@pytest.mark.parametrize("form", ["text", "binary"])
def test_nets_of_old_formats_are_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "net"
    net = text_format.Parse(
        'layers { layer { name: "r" type: "relu" } bottom: "x" top: "x" }', pb.NetParameter()
    )
    if form == "text":
        path.write_text(text_format.MessageToString(net))
    else:
        path.write_bytes(net.SerializeToString())
    assert read_net(path).layer[0].type == "ReLU"
    with pytest.raises(CaffeTransferError, match=r"there is no .*none; write it"):
        read_net(tmp_path / "none")


SAVE = """
import os, sys, caffe
os.chdir(sys.argv[1])
for name in sys.argv[2:]:
    for phase in (caffe.TRAIN, caffe.TEST):
        caffe.set_random_seed(5)
        net = caffe.Net(name, phase)
        net.save(f"{name}.{phase}")
        if "/" not in open(name).read():
            net.save_hdf5(f"{name}.{phase}.h5")
"""
IMAGES = """name: "net"
layer { name: "data" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 2 dim: 3 dim: 9 dim: 9 } shape { dim: 2 } } }
"""


def conv(name: str, bottom: str, kernel: int = 1) -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" '
        f"convolution_param {{ num_output: 2 kernel_size: {kernel} pad: {kernel // 2} "
        'weight_filler { type: "gaussian" std: 0.1 } bias_filler { type: "constant" value: 0.2 } } '
        f'}} layer {{ name: "{name}/relu" type: "ReLU" bottom: "{name}" top: "{name}" }}'
    )


def scores(name: str, bottom: str, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "SoftmaxWithLoss" bottom: "{bottom}" bottom: "label" '
        f'top: "{name}" {more} }} layer {{ name: "{name}/top1" type: "Accuracy" '
        f'bottom: "{bottom}" bottom: "label" top: "{name}/top1" include {{ phase: TEST }} }}'
    )


SAVED = {
    "branches": IMAGES + conv("a", "data", 3) + conv("b/1x1", "a") + conv("b/3x3", "a", 3)
    + 'layer { name: "b" type: "Concat" bottom: "b/1x1" bottom: "b/3x3" top: "b" }'
    + fc("c", "b") + scores("small", "c", "loss_weight: 0.3") + fc("d", "b") + scores("main", "d"),
    "shared": IMAGES + fc("a", "data", 'param { name: "w" lr_mult: 2 } param { name: "b" }')
    + fc("b", "data", 'param { name: "w" } param { }')
    + 'layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "l" '
    "propagate_down: true propagate_down: false }",
    "weighed": IMAGES + fc("a", "data", "loss_weight: 0.5") + fc("b", "a")
    + 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "b" bottom: "label" loss_weight: 2 '
    'top: "l" } layer { name: "p" type: "Power" bottom: "l" top: "p" loss_weight: 1 }'
    + 'layer { name: "s" type: "Slice" bottom: "b" top: "s1" top: "s2" top: "s3" '
    'loss_weight: 0 loss_weight: 1 loss_weight: 3 } '
    'layer { name: "q" type: "Power" bottom: "s2" top: "q" }',
    "forced": "force_backward: true state { stage: \"x\" }" + IMAGES + fc("a", "data")
    + 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "a" bottom: "label" }',
    "normalized": IMAGES + """
        layer { name: "n" type: "BatchNorm" bottom: "data" top: "n" }
        layer { name: "m" type: "BatchNorm" bottom: "n" top: "m" param { lr_mult: 0 } }
        layer { name: "o" type: "BatchNorm" bottom: "n" top: "o"
          param { lr_mult: 1 } param { } param { decay_mult: 2 } }
        layer { name: "s" type: "Scale" bottom: "m" top: "m" scale_param { bias_term: true } }
        layer { name: "p" type: "PReLU" bottom: "m" top: "p" prelu_param { channel_shared: true } }
        """,
    "V1": """name: "old" input: "data" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9
        layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2
          weight_decay: 1 weight_decay: 0
          convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
        layers { name: "r" type: RELU bottom: "c" top: "c" }
        layers { name: "n" type: LRN bottom: "c" top: "n" include { phase: TRAIN } }
        layers { name: "d" type: DROPOUT bottom: "c" top: "d" exclude { phase: TEST } }""",
    "V0": """input: "data" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9
        layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "pad" }
        layers { layer { name: "c" type: "conv" num_output: 3 kernelsize: 3 blobs_lr: 1.
          weight_filler { type: "gaussian" std: 0.1 } } bottom: "pad" top: "c" }
        layers { layer { name: "f" type: "innerproduct" num_output: 2 biasterm: false }
          bottom: "c" top: "f" }""",
}  # fmt: skip


def test_models_are_those_of_caffe_byte_for_byte(
    tmp_path: Path, pycaffe: Callable[..., str], caffe_prefix: Path
) -> None:
    for name, text in SAVED.items():
        (tmp_path / name).write_text(text)
    pycaffe(SAVE, tmp_path, *SAVED)
    for name in SAVED:
        for phase in (pb.TRAIN, pb.TEST):
            net = build_net(read_net(tmp_path / name), phase, [], Rng(5), torch.device("cpu"))
            with (tmp_path / "ours").open("w+b") as file:
                write_net(net.settings(), net.blobs(), file)
            theirs = tmp_path / f"{name}.{phase}"
            assert (tmp_path / "ours").read_bytes() == theirs.read_bytes(), name
            if theirs.with_name(f"{theirs.name}.h5").exists():
                with (tmp_path / "ours.h5").open("w+b") as file:
                    write_net(net.settings(), net.blobs(shared=False), file, hdf5=True)
                assert datasets(tmp_path / "ours.h5") == datasets(tmp_path / f"{name}.{phase}.h5")
                with open_model(tmp_path / f"{name}.{phase}.h5") as model:
                    net.load(model, lambda text: pytest.fail(text))
            with open_model(theirs) as model:
                net.load(model, lambda text: pytest.fail(text))
    tool = caffe_prefix / "bin" / "upgrade_net_proto_binary"
    subprocess.run([tool, tmp_path / "ours", tmp_path / "upgraded"], check=True)
    assert (tmp_path / "upgraded").read_bytes() == (tmp_path / "ours").read_bytes()


def datasets(path: Path) -> dict[str, bytes | None]:
    """What an HDF5 file has, by path: the bytes of datasets, None for groups."""
    found: dict[str, bytes | None] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update(
                {name: item[()].tobytes() if isinstance(item, h5py.Dataset) else None}
            )
        )
    return found


def test_hdf5_takes_no_slashes_and_no_name_twice(tmp_path: Path) -> None:
    loss = 'layer { name: "l" type: "EuclideanLoss" bottom: "b" bottom: "x" }'
    for layers, message in (
        ((fc("a/b", "x"),), "HDF5 files take no layer name with a slash, as 'a/b' has"),
        ((fc("b", "x"), loss, loss), "2 layers have the name 'l', and HDF5 files take one"),
    ):
        net = build(*layers)
        with (tmp_path / "m.h5").open("w+b") as file, pytest.raises(BadInput, match=message):
            write_net(net.settings(), net.blobs(shared=False), file, hdf5=True)


def test_a_net_without_layers_in_a_phase() -> None:
    param = text_format.Parse('name: "n" layer { name: "a" include { phase: TEST } }',
                              pb.NetParameter())  # fmt: skip
    with pytest.raises(BadInput, match=r"the net 'n' has no layers in phase TRAIN; check their"):
        Net(param, pb.NetState(phase=pb.TRAIN), Rng(0), torch.device("cpu"))


def test_sharing_needs_equal_shapes_and_names_what_is_ignored() -> None:
    train, test = build(fc("a", "x"), fc("b", "x")), build(fc("a", "x"), phase=pb.TEST)
    assert test.share(train) == ["x_in_0_split", "b"]
    assert test.layers[1].blobs[0] is train.layers[2].blobs[0]
    with pytest.raises(BadInput, match=r"layer 'a' .*\(2, 3\).* in the test net and .*\(3, 3\)"):
        build(fc("a", "x", outputs=2)).share(train)
