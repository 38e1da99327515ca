"""What a layer is: weight layers, classifiers and frozen layers of nets and of models."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.formats.caffemodel import Blob, Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.cuts import cuts
from caffe_transfer.nets.layers import (
    WeightLayer,
    blob_count,
    classifiers,
    frozen_layers,
    members,
    numbered_weight_layers,
    outputs,
    stored_weight_layers,
    weight_layers,
)

CAFFENET = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def parsed(text: str) -> pb.NetParameter:
    return text_format.Parse(text, pb.NetParameter())


def chain(*layers: str) -> pb.NetParameter:
    """Layers "name Type [settings]", each on top of the one before."""
    net, bottom = pb.NetParameter(), "data"
    for row in layers:
        name, kind, *settings = row.split(" ", 2)
        layer = net.layer.add(name=name, type=kind, bottom=[bottom], top=[name])
        text_format.Merge(" ".join(settings), layer)
        bottom = name
    return net


def names(layers: tuple[WeightLayer, ...]) -> list[str]:
    return [layer.name for layer in layers]


class TestAuthorsNets:
    """Format V0, upgraded."""

    def test_the_base(self, authors: Path) -> None:
        net = read_net(authors / "results/half0A/imagenet_train.prototxt")
        assert names(weight_layers(net)) == list(CAFFENET)
        assert names(classifiers(net)) == ["fc8"]
        assert outputs(net) == 1000
        assert frozen_layers(net) == ()

    def test_a_transfer(self, authors: Path) -> None:
        net = read_net(authors / "results/transfer0A0B_1_4/imagenet_train.prototxt")
        assert frozen_layers(net) == CAFFENET[:4]
        assert names(weight_layers(net))[4:] == ["conv5-new", "fc6-new", "fc7-new", "fc8-new"]


class TestZoo:
    """Nets that others have published."""

    def test_squeezenet_ends_in_a_convolution(self, shared: Path) -> None:
        net = read_net(shared / "nets/squeezenet_v1.1_train_val.prototxt")
        layers = weight_layers(net)
        assert len(layers) == 26
        assert all(layer.type == "Convolution" for layer in layers)
        assert names(classifiers(net)) == ["conv10"]
        assert outputs(net) == 1000

    def test_resnets_normalization_goes_with_the_convolution_below(self, shared: Path) -> None:
        net = read_net(shared / "nets/ResNet-50-deploy.prototxt")
        layers = weight_layers(net)
        assert len(layers) == 54
        assert layers[0].members == ("conv1", "bn_conv1", "scale_conv1")
        assert layers[-1] == WeightLayer("fc1000", "InnerProduct", ("fc1000",))
        assert all(len(layer.members) == 3 for layer in layers[:-1])
        assert names(classifiers(net)) == ["fc1000"]

    @pytest.mark.parametrize("file", ["ResNet-50-deploy.prototxt"])
    def test_blob_counts_are_those_of_real_caffe(
        self, file: str, shared: Path, pycaffe: Callable[..., str]
    ) -> None:
        code = (
            "import sys, json, caffe\n"
            "net = caffe.Net(sys.argv[1], caffe.TEST)\n"
            "print(json.dumps({k: len(v) for k, v in net.params.items()}))\n"
        )
        theirs = json.loads(pycaffe(code, shared / "nets" / file))
        net = read_net(shared / "nets" / file)
        assert {each.name: blob_count(each) for each in net.layer if blob_count(each)} == theirs
        assert sorted(members(weight_layers(net))) == sorted(theirs)


def test_auxiliary_classifiers_are_classifiers_too() -> None:
    net = chain("c1 Convolution", "c2 Convolution", "relu ReLU", "fc InnerProduct")
    net.layer[-1].inner_product_param.num_output = 5
    net.layer.add(name="aux", type="InnerProduct", bottom=["c1"], top=["aux"])
    for name in ("aux", "fc"):
        net.layer.add(
            name=f"loss_{name}", type="SoftmaxWithLoss", bottom=[name, "label"], top=[f"l_{name}"]
        )
    assert names(classifiers(net)) == ["fc", "aux"]


def test_what_an_accuracy_reads_is_no_classifier_unless_a_loss_reads_it() -> None:
    net = chain("c1 Convolution", "probe InnerProduct", "fc InnerProduct")
    net.layer.add(name="loss", type="SoftmaxWithLoss", bottom=["fc", "label"], top=["loss"])
    net.layer.add(name="accuracy", type="Accuracy", bottom=["probe", "label"], top=["accuracy"])
    assert names(classifiers(net)) == ["fc"]


def test_a_loss_by_weight_and_one_that_weighs_nothing() -> None:
    net = chain("a InnerProduct", "sum Reduction loss_weight: 1", "b InnerProduct")
    net.layer.add(name="x", type="EuclideanLoss", bottom=["b", "label"], loss_weight=[0], top=["x"])
    assert names(classifiers(net)) == ["a"]


def test_layers_in_place_and_shared_blobs() -> None:
    net = parsed(
        """
        layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
        layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST } }
        layer { name: "bn0" type: "BatchNorm" bottom: "data" top: "bn0" }
        layer { name: "c1" type: "Convolution" bottom: "bn0" top: "x" }
        layer { name: "bn1" type: "BatchNorm" bottom: "x" top: "x" }
        layer { name: "s1" type: "Scale" bottom: "x" top: "x" }
        layer { name: "c2" type: "Convolution" bottom: "x" top: "y" }
        layer { name: "p2" type: "PReLU" bottom: "y" top: "y" }
        layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "y" top: "sum" }
        layer { name: "gate" type: "Scale" bottom: "sum" bottom: "y" top: "gated" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "gated" bottom: "label" }
        """
    )
    assert weight_layers(net) == (
        WeightLayer("c1", "Convolution", ("bn0", "c1", "bn1", "s1")),
        WeightLayer("c2", "Convolution", ("c2", "p2")),
    )
    assert names(classifiers(net)) == ["c1", "c2"]


def test_bare_scores_of_a_deploy_net_are_the_classifiers() -> None:
    net = chain("c1 Convolution", "fc2 InnerProduct", "fc3 InnerProduct")
    assert names(classifiers(net)) == ["fc3"]
    net.layer.add(name="prob", type="Softmax", bottom=["fc3"], top=["prob"])
    assert names(classifiers(net)) == ["fc3"]


def test_what_is_compared_with_no_labels_is_no_classifier() -> None:
    net = chain("code Convolution", "decoded Deconvolution", "fc InnerProduct")
    net.layer.add(name="loss", type="SoftmaxWithLoss", bottom=["fc", "label"], top=["loss"])
    net.layer.add(name="aux", type="EuclideanLoss", bottom=["decoded", "data"], top=["aux"])
    assert names(classifiers(net)) == ["fc"]


def test_layers_of_both_phases_count_once_and_as_they_learn() -> None:
    net = parsed(
        """
        layer { name: "c" type: "Convolution" bottom: "data" top: "c" }
        layer { name: "b" type: "BatchNorm" bottom: "c" top: "b" include { phase: TRAIN } }
        layer { name: "b" type: "BatchNorm" bottom: "c" top: "b" include { phase: TEST }
                batch_norm_param { use_global_stats: true } }
        layer { name: "fc" type: "InnerProduct" bottom: "b" top: "fc" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label"
                include { phase: TRAIN } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label"
                include { phase: TEST } }
        """
    )
    assert [layer.members for layer in weight_layers(net)] == [("c", "b"), ("fc",)]
    assert frozen_layers(net) == ()  # in TRAIN the statistics move
    assert [cut.name for cut in cuts(net)] == ["c"]


def test_a_factor_from_below_leaves_the_summand() -> None:
    scale = pb.LayerParameter(type="Scale", bottom=["x", "y"])
    assert blob_count(scale) == 0
    scale.scale_param.bias_term = True
    assert blob_count(scale) == 1  # as nets/shapes has it, which is held against real Caffe


ZEROS = "param { lr_mult: 0 } param { lr_mult: 0 }"


@pytest.mark.parametrize(
    ("layer", "frozen"),
    [
        (f"c Convolution {ZEROS}", True),
        ("c Convolution param { lr_mult: 0 }", False),  # the bias goes on learning
        ("c Convolution param { lr_mult: 0 } convolution_param { bias_term: false }", True),
        ("c Convolution param { lr_mult: 0 } param { lr_mult: 2 }", False),
        ("c Convolution", False),
        ("b BatchNorm param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }", False),
        ("b BatchNorm batch_norm_param { use_global_stats: true }", True),
        (f"s Scale {ZEROS} scale_param {{ bias_term: true }}", True),
        ("s Scale param { lr_mult: 0 } scale_param { bias_term: true }", False),
        ("p PReLU param { lr_mult: 0 }", True),
        ("r ReLU", False),
    ],
)
def test_frozen_is_what_training_cannot_change(layer: str, frozen: bool) -> None:
    assert (frozen_layers(chain(layer)) != ()) == frozen


def stored(name: str, kind: str, count: int) -> Layer:
    return Layer(name, kind, (Blob((1,), np.zeros(1, np.float32)),) * count)


@pytest.mark.parametrize(
    ("convolution", "product"),
    [("Convolution", "InnerProduct"), ("CONVOLUTION", "INNER_PRODUCT"), ("conv", "innerproduct")],
)
def test_models_of_every_format(convolution: str, product: str) -> None:
    layers = [
        stored("bn0", "BatchNorm", 3), stored("c", convolution, 2), stored("relu", "ReLU", 0),
        stored("s", "Scale", 2), stored("f", product, 2),
    ]  # fmt: skip
    assert stored_weight_layers(layers) == (
        WeightLayer("c", "Convolution", ("bn0", "c", "s")),
        WeightLayer("f", "InnerProduct", ("f",)),
    )


@given(st.sets(st.integers(0, 99), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_numbers_in_names_tell_the_order(numbers: set[int], random: object) -> None:
    given_names = [f"{'conv' if n % 2 else 'fc'}{n}" for n in numbers]
    found = numbered_weight_layers(sorted(given_names))
    assert found is not None
    assert [int(layer.name.strip("convf")) for layer in found] == sorted(numbers)


@pytest.mark.parametrize("given_names", [["conv1", "fc"], ["conv1", "fc1"], ["conv1_1", "conv2_1"]])
def test_names_that_do_not_tell_the_order(given_names: list[str]) -> None:
    assert numbered_weight_layers(given_names) is None


def test_nets_without_weights() -> None:
    net = chain("r ReLU", "loss SoftmaxWithLoss")
    assert weight_layers(net) == classifiers(net) == ()
    assert outputs(net) is None
