"""Shapes of blobs and parameters, as real Caffe has them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.render import render
from caffe_transfer.nets.shapes import blob_shapes, infer, known_types, parameter_shapes
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network

PyCaffe = Callable[..., str]
REFERENCE = """
import json, sys, caffe
net = caffe.Net(sys.argv[1], int(sys.argv[2]))
print(json.dumps([
    {name: list(blob.data.shape) for name, blob in net.blobs.items()},
    {name: [list(blob.data.shape) for blob in blobs] for name, blobs in net.params.items()},
]))
"""


def layer(kind: str, bottoms: str, tops: str, settings: str = "") -> str:
    """A layer as prototxt, named after its first top; blobs with blanks between them."""
    name = tops.split()[0] if tops else f"{kind}-{bottoms}"
    wires = [f'bottom: "{blob}"' for blob in bottoms.split()]
    wires += [f'top: "{blob}"' for blob in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {settings} }}\n'


def source(name: str, *dims: int) -> str:
    shape = " ".join(f"dim: {dim}" for dim in dims)
    return layer("Input", "", name, f"input_param {{ shape {{ {shape} }} }}")


def conv(bottoms: str, tops: str, settings: str, kind: str = "Convolution") -> str:
    return layer(kind, bottoms, tops, f"convolution_param {{ {settings} }}")


def pool(bottom: str, tops: str, settings: str) -> str:
    return layer("Pooling", bottom, tops, f"pooling_param {{ {settings} }}")


def fc(bottom: str, top: str, settings: str) -> str:
    return layer("InnerProduct", bottom, top, f"inner_product_param {{ {settings} }}")


IMAGES = source("data", 2, 3, 29, 23) + source("label", 2)
NETS = {
    "an inception module of GoogLeNet with an auxiliary loss": (
        IMAGES
        + conv("data", "stem", "num_output: 8 kernel_size: 7 stride: 2 pad: 3")
        + layer("ReLU", "stem", "stem")
        + pool("stem", "pool", "kernel_size: 3 stride: 2")
        + layer("LRN", "pool", "norm", "lrn_param { local_size: 5 }")
        + conv("norm", "one", "num_output: 4 kernel_size: 1")
        + conv("norm", "three", "num_output: 6 kernel_size: 3 pad: 1")
        + conv("norm", "five", "num_output: 2 kernel_size: 5 pad: 2")
        + pool("norm", "around", "kernel_size: 3 stride: 1 pad: 1")
        + layer("Concat", "one three five around", "joined")
        + pool("joined", "small", "pool: AVE kernel_size: 3 stride: 2")
        + fc("small", "aux", "num_output: 5")
        + layer("SoftmaxWithLoss", "aux label", "aux_loss", "loss_weight: 0.3")
        + pool("joined", "whole", "pool: AVE global_pooling: true")
        + layer("Dropout", "whole", "whole")
        + fc("whole", "scores", "num_output: 5 bias_term: false")
        + layer("SoftmaxWithLoss", "scores label", "loss")
        + layer("Accuracy", "scores label", "top1 classes")
    ),
    "depthwise convolutions of MobileNet": (
        IMAGES
        + conv("data", "stem", "num_output: 8 kernel_size: 3 pad: 1 stride: 2 bias_term: false")
        + layer("BatchNorm", "stem", "norm")
        + layer("Scale", "norm", "scale", "scale_param { bias_term: true }")
        + conv("scale", "depth", "num_output: 8 group: 8 kernel_size: 3 bias_term: false")
        + layer("PReLU", "depth", "slopes")
        + layer("PReLU", "slopes", "slope", "prelu_param { channel_shared: true }")
        + conv("slope", "point", "num_output: 16 kernel_size: 1")
    ),
    "a dense block of DenseNet": (
        source("data", 2, 6, 8, 8)
        + conv("data", "first", "num_output: 4 kernel_size: 3 pad: 1")
        + layer("Concat", "data first", "both", "concat_param { axis: 1 }")
        + conv("both", "second", "num_output: 4 kernel_h: 3 kernel_w: 1 pad_h: 1")
        + layer("Concat", "both second", "all", "concat_param { axis: -3 }")
        + pool("all", "half", "pool: AVE kernel_size: 2 stride: 2 round_mode: FLOOR")
    ),
    "a residual block": (
        source("data", 2, 4, 7, 9)
        + conv("data", "branch", "num_output: 4 kernel_size: 3 pad: 2 dilation: 2")
        + layer("Eltwise", "data branch", "sum")
        + layer("Bias", "sum", "moved", "bias_param { axis: 0 num_axes: -1 }")
        + layer("Scale", "moved sum", "gated", "scale_param { axis: 0 bias_term: true }")
    ),
    "a fully convolutional net": (
        source("data", 1, 3, 20, 24)
        + conv("data", "down", "num_output: 8 kernel_size: 3 stride: 2 pad: 10")
        + pool("down", "pooled places", "kernel_size: 2 stride: 2")
        + conv("pooled", "up", "num_output: 6 group: 2 kernel_size: 8 stride: 4", "Deconvolution")
        + layer("Crop", "up data", "score", "crop_param { axis: 2 offset: 5 }")
        + layer("ArgMax", "score", "best", "argmax_param { axis: 1 }")
        + layer("ArgMax", "score", "ranked", "argmax_param { top_k: 3 out_max_val: true }")
        + layer("Softmax", "score", "chances", "softmax_param { axis: -3 }")
    ),
    "siamese branches": (
        source("pair", 4, 2, 8, 8) + source("alike", 4)
        + layer("Slice", "pair", "left right", "slice_param { slice_dim: 1 slice_point: 1 }")
        + conv("left right", "a b", "num_output: 3 kernel_size: 3")
        + fc("a", "c", "num_output: 2") + fc("b", "d", "num_output: 2 transpose: true")
        + layer("ContrastiveLoss", "c d alike", "loss")
    ),
    "an autoencoder": (
        source("data", 3, 1, 6, 6)
        + layer("Flatten", "data", "flat")
        + fc("flat", "code", "num_output: 4") + layer("Sigmoid", "code", "coded")
        + fc("coded", "back", "num_output: 36")
        + layer("Reshape", "back", "image",
                "reshape_param { shape { dim: 0 dim: 1 dim: -1 dim: 6 } }")
        + layer("SigmoidCrossEntropyLoss", "back flat", "cross") + layer("Silence", "image", "")
        + layer("EuclideanLoss", "coded code", "distance")
    ),
    "the remaining types": (
        source("data", 2, 6, 5) + source("label", 2)
        + layer("Split", "data", "x y z")
        + layer("Tile", "x", "tiled", "tile_param { axis: 2 tiles: 3 }")
        + layer("Reduction", "y", "total", "reduction_param { axis: 1 }")
        + layer("MVN", "z", "centred")
        + layer("Flatten", "tiled", "front", "flatten_param { axis: 0 end_axis: 1 }")
        + fc("tiled", "rows", "num_output: 7 axis: 2")
        + layer("HingeLoss", "data label", "hinge")
        + layer("DummyData", "", "noise",
                "dummy_data_param { num: 2 channels: 3 height: 4 width: 5 }")
        + layer("Swish", "rows", "rows") 
        + layer("Clip", "rows", "cut", "clip_param { min: 0 max: 6 }")
        + layer("DummyData", "", "p q", "dummy_data_param { shape { dim: 2 dim: 9 } }")
        + layer("Softmax", "p", "chances")
        + layer("MultinomialLogisticLoss", "chances label", "logistic")
        + layer("MemoryData", "", "images names",
                "memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 }")
    ),
    "lines and volumes": (
        source("line", 2, 3, 20) + source("volume", 2, 4, 3, 6, 7, 8) + source("rows", 3, 6)
        + conv("line", "a", "num_output: 4 kernel_size: 3 stride: 2 pad: 1")
        + conv("a", "b", "num_output: 6 group: 2 kernel_size: 4 stride: 3", "Deconvolution")
        + conv("volume", "c", "num_output: 5 kernel_size: [1, 2, 3] dilation: 2 axis: 2")
        + conv("rows", "d", "num_output: 4 group: 2 kernel_size: 1")
        + conv("line", "e", "kernel_size: 3 stride: 2 pad: 1", "Im2col")
        + conv("volume", "f", "kernel_size: [2, 1] pad: [0, 1] axis: -3", "Im2col")
    ),
    "parts of images": (
        source("data", 3, 4, 11, 8) + source("by", 3, 1, 1) + source("again", 7)
        + layer("SPP", "data", "row", "spp_param { pyramid_height: 3 }")
        + layer("SPP", "data", "mean", "spp_param { pyramid_height: 1 pool: AVE }")
        + layer("Filter", "data row by", "some some_rows")
        + layer("BatchReindex", "row again", "repeated")
        + layer("Parameter", "", "learned", "parameter_param { shape { dim: 3 dim: 2 } }")
    ),
    "sequences": (
        source("words", 6, 4) + source("cont", 6, 4) + source("still", 4, 3, 2)
        + source("h", 1, 4, 9) + source("c", 1, 4, 9)
        + layer("Embed", "words", "x", "embed_param { num_output: 5 input_dim: 30 }")
        + layer("LSTM", "x cont", "plain", "recurrent_param { num_output: 7 }")
        + layer("LSTM", "x cont still h c", "full hT cT",
                "recurrent_param { num_output: 9 expose_hidden: true }")
        + layer("RNN", "x cont still", "simple", "recurrent_param { num_output: 8 }")
        + source("gates", 1, 4, 36) + source("step", 1, 4)
        + layer("LSTMUnit", "c gates step", "next_c next_h")
    ),
}  # fmt: skip


def parsed(text: str) -> pb.NetParameter:
    return text_format.Parse(text, pb.NetParameter())


def check(
    pycaffe: PyCaffe, net: pb.NetParameter, folder: Path, phase: int = pb.TRAIN
) -> Mapping[str, object]:
    """Compare all shapes of a net whose inputs are declared with Caffe's; the blobs' shapes."""
    path = folder / "net.prototxt"
    path.write_text(text_format.MessageToString(net))
    blobs, parameters = json.loads(pycaffe(REFERENCE, path, str(phase)))
    ours = blob_shapes(net, phase=phase)
    # Caffe makes copies of blobs with several readers, and names the tops of losses without one.
    assert set(ours) == {name for name in blobs if "_split_" not in name}
    assert {name: list(shape) for name, shape in ours.items()} == {
        name: blobs[name][1:] for name in ours
    }
    found = parameter_shapes(net, phase=phase)
    assert {name: [list(s) for s in shapes] for name, shapes in found.items()} == parameters
    return ours


@pytest.mark.parametrize("name", NETS)
def test_small_nets_are_as_in_caffe(name: str, pycaffe: PyCaffe, tmp_path: Path) -> None:
    check(pycaffe, parsed(NETS[name]), tmp_path)


def test_resnet_50_is_as_in_caffe(shared: Path, pycaffe: PyCaffe, tmp_path: Path) -> None:
    net = read_net(shared / "nets" / "ResNet-50-deploy.prototxt")
    blobs = check(pycaffe, net, tmp_path, pb.TEST)
    assert blobs["pool5"] == (2048, 1, 1)
    assert len(parameter_shapes(net)) == 53 + 53 + 53 + 1  # convolutions, norms, scales, fc1000


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
def test_squeezenet_is_as_in_caffe(
    phase: int, shared: Path, pycaffe: PyCaffe, tmp_path: Path
) -> None:
    net = read_net(shared / "nets" / "squeezenet_v1.1_train_val.prototxt")
    declared = parsed(source("data", 2, 3, 227, 227) + source("label", 2))
    declared.layer.extend(each for each in net.layer if each.type != "Data")
    blobs = check(pycaffe, declared, tmp_path, phase)
    assert blob_shapes(net, (3, 227, 227), phase) == blobs
    assert blobs["fire9/concat"] == (512, 14, 14)


def test_flickr_style_is_as_in_caffe(pycaffe: PyCaffe, tmp_path: Path) -> None:
    text = render(Network.parse("netbase"), paper())["deploy.prototxt"]
    net = parsed(text.replace("num_output: 1000", "num_output: 20"))  # CaffeNet but for fc8
    assert check(pycaffe, net, tmp_path, pb.TEST)["pool5"] == (256, 6, 6)


def test_all_types_are_in_these_nets() -> None:
    judged_elsewhere = {  # as neurons; by files; by a matrix; by programs
        "AbsVal", "BNLL", "ELU", "Exp", "Log", "Power", "TanH", "Threshold",
        "Data", "ImageData", "HDF5Data", "HDF5Output", "InfogainLoss", "Python",
    }  # fmt: skip
    used = {each.type for text in NETS.values() for each in parsed(text).layer}
    assert used | judged_elsewhere == set(known_types())
    assert not used & judged_elsewhere


def test_the_layers_of_caffe_torch_make_these_blobs() -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    import torch

    from caffe_transfer.caffe_torch.layers import known_types as torch_types
    from tests import (
        test_torch_layers,
        test_torch_layers_axes,
        test_torch_layers_batches,
        test_torch_layers_losses,
        test_torch_layers_recurrent,
        test_torch_layers_values,
    )
    from tests.torch_layers import Draw

    assert torch_types() == known_types()
    modules = (
        test_torch_layers, test_torch_layers_axes, test_torch_layers_batches,
        test_torch_layers_losses, test_torch_layers_recurrent, test_torch_layers_values,
    )  # fmt: skip
    makers = [make for module in modules for make in module.ALL]
    for make in makers:
        draw = Draw(11)
        for _ in range(10):
            case = make(draw)
            made, _ = case.make()
            tops = made.forward([torch.from_numpy(bottom) for bottom in case.bottoms])
            found = infer(case.layer(), [bottom.shape for bottom in case.bottoms])
            axes = slice(1 if case.type == "Filter" else 0, None)  # how many it leaves, data tell
            assert [shape[axes] for shape in found.tops] == [
                tuple(top.shape[axes]) for top in tops
            ], case
            assert found.parameters == tuple(tuple(blob.shape) for blob in made.blobs), case


@given(st.data())
def test_slices_concatenated_are_the_whole(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    cuts = data.draw(st.sets(st.integers(1, shape[axis] - 1))) if shape[axis] > 1 else set()
    tops = " ".join(f"t{index}" for index in range(len(cuts) + 1))
    points = " ".join(f"slice_point: {point}" for point in sorted(cuts))
    cut, join = parsed(
        layer("Slice", "x", tops, f"slice_param {{ axis: {axis} {points} }}")
        + layer("Concat", tops, "y", f"concat_param {{ axis: {axis} }}")
    ).layer
    assert infer(join, infer(cut, [shape]).tops).tops == (shape,)


DATA = layer("Data", "", "data label", "data_param { batch_size: 4 }")
HDF5 = layer("HDF5Data", "", "label data", "hdf5_data_param { batch_size: 4 }")
LIST = layer("ImageData", "", "data class", "image_data_param { batch_size: 4 }")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (DATA, {"data": (3, 8, 8), "label": ()}),
        (HDF5, {"data": (3, 8, 8), "label": ()}),
        (LIST, {"data": (3, 8, 8), "class": ()}),
        (layer("Data", "", "data", "data_param { batch_size: 4 }"), {"data": (3, 8, 8)}),
    ],
)
def test_images_of_files(text: str, wanted: dict[str, object]) -> None:
    assert blob_shapes(parsed(text), (3, 8, 8)) == wanted


def test_phases_and_stages_choose_the_layers() -> None:
    text = source("x", 2, 4)
    for name, rule in (
        ("train", "include { phase: TRAIN }"), ("test", "exclude { phase: TRAIN }"),
        ("staged", 'include { stage: "s" }'), ("plain", 'exclude { stage: "s" }'),
    ):  # fmt: skip
        text += fc("x", name, "num_output: 3").removesuffix("}\n") + rule + "}\n"
    assert list(parameter_shapes(parsed(text))) == ["train", "plain"]
    staged = parsed(text + 'state { stage: "s" }')
    assert list(parameter_shapes(staged, phase=pb.TEST)) == ["test", "staged"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATA, r"layer 'data' \(Data\) reads files, .*give the shape"),
        (DATA.replace("batch_size: 4", ""), r"layer 'data' \(Data\) has no batch_size above 0"),
        (fc("x", "y", "num_output: 2"), "layer 'y' reads blob 'x', which no layer before it makes"),
        (source("x", 2) + source("x", 2), "layer 'x' makes blob 'x', which is there already"),
        (source("x", 2) + layer("Lstm", "x", "y"),
         r"layer 'y' has the unknown type 'Lstm'; did you mean LSTM\?"),
        (source("x", 2) + layer("Polling", "x", "y"), r"type 'Polling'; did you mean Pooling\?"),
        (source("x", 2) + layer("Attention", "x", "y"), "'Attention'; Caffe has no such layer"),
        (source("x", 2) + layer("WindowData", "", "y"),
         r"layer 'y' \(WindowData\) cuts windows out of images, .* by an ImageData layer"),
        (source("x", 2) + layer("Eltwise", "x", "y"), r"layer 'y' \(Eltwise\) has 1 bottoms; it"),
        (source("x", 1, 2, 5, 5) + conv("x", "y", "num_output: 4 kernel_size: 6"),
         r"layer 'y' \(Convolution\) has a window larger than its input of 5 x 5"),
        (source("x", 1, 3, 5, 5) + conv("x", "y", "num_output: 4 kernel_size: 1 group: 0"),
         "has 0 groups"),
        (layer("Input", "", "x y z", "input_param { shape { dim: 2 } shape { dim: 3 } }"),
         "has 2 shapes for 3 tops"),
        (layer("DummyData", "", "x y z", "dummy_data_param { num: [1, 2] channels: 1 height: 1 "
               "width: 1 }"), "needs one shape, or one for each top"),
    ],
)  # fmt: skip
def test_refusals(text: str, message: str) -> None:
    shape = None if "batch_size: 4" in text else (3, 8, 8)
    with pytest.raises(BadInput, match=message):
        blob_shapes(parsed(text), shape)


@pytest.mark.parametrize(
    ("dims", "ours", "theirs"),
    [
        ((2, -1), "shape 2x-1; no axis can be negative", r"shape\[i\] >= 0"),
        ((2**31, 0), "at most 2,147,483,647 numbers", r"shape\[i\] >= 0"),  # it wraps around
        ((2**16, 2**15), "at most 2,147,483,647 numbers", "exceeds INT_MAX"),
        ((1,) * 33, "at most 32 axes", "<= kMaxBlobAxes"),
    ],
)
def test_shapes_that_no_blob_can_have(
    dims: tuple[int, ...], ours: str, theirs: str, caffe_bin: Path, tmp_path: Path
) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(source("x", *dims))
    with pytest.raises(BadInput, match=rf"layer 'x' \(Input\) has a top of .*{ours}"):
        blob_shapes(parsed(source("x", *dims)))
    done = subprocess.run([caffe_bin, "time", f"--model={net}"], capture_output=True, text=True)
    assert re.search(f"Check failed: .*{theirs}", done.stderr)


@pytest.mark.parametrize("dims", [(0, 2**16, 2**16), (2**31 - 1,), (1,) * 32, ()])
def test_shapes_at_the_limit(dims: tuple[int, ...]) -> None:
    assert infer(parsed(source("x", *dims)).layer[0], []).tops == (dims,)


def test_losses_of_2014_name_no_top() -> None:
    net = parsed(source("x", 2, 3) + source("y", 2) + layer("SoftmaxWithLoss", "x y", ""))
    assert blob_shapes(net) == {"x": (3,), "y": ()}


def test_shapes_cost_no_heavy_import() -> None:
    code = "import sys, caffe_transfer.nets.shapes; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
