"""Nets as tables: shapes are those of Caffe's blobs, and what depends on unknown images is open."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from caffe_transfer.comparison.net_contents import NetContents, prototxt_contents
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.render import render
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.studies.load import load_study, paper
from caffe_transfer.studies.network import Network

UNKNOWN = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "none_lmdb" batch_size: 8 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "none_lmdb" batch_size: 5 backend: LMDB } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" param { lr_mult: 0 }
  param { lr_mult: 0 } convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "d" type: "Convolution" bottom: "c" top: "d"
  convolution_param { num_output: 7 kernel_size: 1 } }
layer { name: "f" type: "InnerProduct" bottom: "d" top: "f" inner_product_param { num_output: 4 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" }
layer { name: "acc" type: "Accuracy" bottom: "f" bottom: "label" top: "acc"
  include { phase: TEST } }
"""
SHAPES = """
import sys, json, caffe
net = caffe.Net(sys.argv[1], caffe.TEST)
print(json.dumps({name: list(blob.data.shape) for name, blob in net.blobs.items()}))
print(json.dumps({n: [list(b.data.shape) for b in p] for n, p in net.params.items()}))
"""


def contents(path: Path, text: str, images: Shape | None = None) -> NetContents:
    path.write_text(text)
    found = prototxt_contents(path, images)
    assert isinstance(found, NetContents)
    return found


def test_shapes_are_caffes(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    text = render(Network.parse("half0A"), load_study("fashion-mnist"))["deploy.prototxt"]
    found = contents(tmp_path / "net.prototxt", text)
    blobs, params = map(json.loads, pycaffe(SHAPES, tmp_path / "net.prototxt").splitlines())
    tops = {
        top: list(shape or ())
        for layer in found.layers
        for top, shape in zip(layer.tops, layer.shapes, strict=True)
    }
    assert tops == {name: shape for name, shape in blobs.items() if name in tops}
    assert len(tops) >= 10
    assert {
        layer.name: [list(shape) for shape in layer.parameters]
        for layer in found.layers
        if layer.parameters
    } == params


def test_what_is_known_without_the_size_of_the_images(tmp_path: Path) -> None:
    found = contents(tmp_path / "net.prototxt", UNKNOWN)
    rows = {(each.name, each.phase): each for each in found.layers}
    assert list(rows) == [("data", "TRAIN"), ("data", "TEST"), ("c", ""), ("d", ""), ("f", ""),
                          ("loss", ""), ("acc", "TEST")]  # fmt: skip
    assert rows["data", "TRAIN"].shapes == ((8, None, None, None), (8,))
    assert rows["data", "TEST"].shapes == ((5, None, None, None), (5,))
    assert rows["c", ""].shapes == ((8, 6, None, None),)
    assert rows["c", ""].parameters is None
    assert rows["d", ""].parameters == ((7, 6, 1, 1), (7,))
    assert rows["f", ""].shapes == ((8, 4),)
    assert rows["f", ""].parameter_count is None
    assert rows["acc", "TEST"].shapes == ((),)
    assert [each.n for each in found.layers] == [None, None, 1, 2, 3, None, None]
    assert [each.name for each in found.layers if each.frozen] == ["c"]
    (note,) = found.notes
    assert note.startswith("layer data: none_lmdb is not here, and the net does not say the size")


def test_the_size_of_the_images_may_be_given(tmp_path: Path) -> None:
    found = contents(tmp_path / "net.prototxt", UNKNOWN, (3, 10, 12))
    assert found.notes == ()
    assert {each.name: each.shapes for each in found.layers}["c"] == ((8, 6, 8, 10),)
    assert sum(each.parameter_count or 0 for each in found.layers) == 168 + 49 + 2244


def test_crops_are_taken_for_colours_and_it_says_so(tmp_path: Path) -> None:
    text = render(Network.parse("transfer0A0B_1_4"), paper(), "2014")["imagenet_train.prototxt"]
    found = contents(tmp_path / "net.prototxt", text)
    assert found.format == "V0"
    assert found.layers[0].shapes == ((256, 3, 227, 227), (256,))
    assert [each.name for each in found.layers if each.frozen] == [
        "conv1", "conv2", "conv3", "conv4",
    ]  # fmt: skip
    assert found.notes == (
        "layer data: imagenet_train_leveldb is not here; its images are taken for 3x227x227, by "
        "crop_size",
    )


def test_a_layer_that_does_not_fit_is_named_and_the_rest_is_open(tmp_path: Path) -> None:
    text = UNKNOWN.replace('bottom: "c" top: "d"', 'bottom: "typo" top: "d"')
    found = contents(tmp_path / "net.prototxt", text, (3, 10, 12))
    assert found.notes == ("layer 'd' reads blob 'typo', which no layer before it makes",)
    shapes = {each.name: each.shapes for each in found.layers}
    assert shapes["c"] == ((8, 6, 8, 10),)
    assert (shapes["d"], shapes["f"]) == ((None,), (None,))


def test_layers_in_no_phase_and_rules_that_contradict(tmp_path: Path) -> None:
    net = pb.NetParameter()
    layer = net.layer.add(name="x", type="Input", top=["x"])
    layer.include.add(stage=["never"])
    (row,) = contents(tmp_path / "net.prototxt", str(net)).layers
    assert (row.phase, row.shapes) == ("none", (None,))


@pytest.mark.parametrize("name", ["bvlc_googlenet", "bvlc_alexnet", "finetune_flickr_style"])
def test_nets_of_the_zoo(name: str, caffe_prefix: Path) -> None:
    folder = caffe_prefix / "share/caffe/models" / name
    if not folder.is_dir():
        pytest.skip(f"this Caffe came without {folder}")
    for file in ("deploy.prototxt", "train_val.prototxt"):
        found = prototxt_contents(folder / file)
        assert isinstance(found, NetContents)
        shapes = [shape for each in found.layers for shape in each.shapes]
        assert all(shape is not None and None not in shape for shape in shapes)
