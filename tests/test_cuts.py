"""Where nets can be cut: the paper's net, chains, fire modules, residual blocks, inceptions."""

from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.cuts import cuts, find_cut
from caffe_transfer.nets.layers import members

INCEPTION = """
layer { name: "data" type: "Data" top: "data" top: "label" }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "a/1x1" type: "Convolution" bottom: "conv1" top: "a/1x1" }
layer { name: "a/reduce" type: "Convolution" bottom: "conv1" top: "a/reduce" }
layer { name: "a/3x3" type: "Convolution" bottom: "a/reduce" top: "a/3x3" }
layer { name: "a/output" type: "Concat" bottom: "a/1x1" bottom: "a/3x3" top: "a/output" }
layer { name: "aux/fc" type: "InnerProduct" bottom: "a/output" top: "aux/fc" }
layer { name: "aux/loss" type: "SoftmaxWithLoss" bottom: "aux/fc" bottom: "label" loss_weight: 0.3 }
layer { name: "b" type: "Convolution" bottom: "a/output" top: "b" }
layer { name: "fc" type: "InnerProduct" bottom: "b" top: "fc" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" }
"""


def inception() -> pb.NetParameter:
    return text_format.Parse(INCEPTION, pb.NetParameter())


def test_the_papers_cuts(authors: Path) -> None:
    net = read_net(authors / "results/half0A/imagenet_train.prototxt")
    assert [(cut.n, cut.name) for cut in cuts(net)] == list(
        enumerate(["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"], 1)
    )


def test_an_inception_is_cut_at_its_output_alone() -> None:
    found = cuts(inception())
    assert [cut.name for cut in found] == ["conv1", "a/output", "b"]
    assert [layer.name for layer in found[1].added] == ["a/1x1", "a/reduce", "a/3x3"]
    below = {name for cut in found for name in members(cut.below)}
    assert "aux/fc" not in below
    assert "fc" not in below


def test_a_learned_blob_is_no_way_around_a_cut() -> None:
    text = """
        layer { name: "data" type: "Data" top: "data" top: "label" }
        layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" }
        layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2" }
        layer { name: "moved" type: "Parameter" top: "moved" }
        layer { name: "sum" type: "Eltwise" bottom: "conv2" bottom: "moved" top: "sum" }
        layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" }
        """
    found = cuts(text_format.Parse(text, pb.NetParameter()))
    assert [cut.name for cut in found] == ["conv1", "conv2", "sum"]
    assert [members(cut.added) for cut in found] == [("conv1",), ("conv2",), ("moved",)]


def test_a_resnet_is_cut_at_its_sums(shared: Path) -> None:
    found = cuts(read_net(shared / "nets/ResNet-50-deploy.prototxt"))
    assert [cut.name for cut in found] == ["conv1", *(
        f"res{stage}{block}"
        for stage, blocks in ((2, "abc"), (3, "abcd"), (4, "abcdef"), (5, "abc"))
        for block in blocks
    )]  # fmt: skip
    assert sum(len(cut.added) for cut in found) == 53


def test_squeezenet(shared: Path) -> None:
    found = cuts(read_net(shared / "nets/squeezenet_v1.1_train_val.prototxt"))
    assert len(found) == 17
    assert found[2].name == "fire2/concat"


def test_googlenet(caffe_prefix: Path) -> None:
    models = caffe_prefix / "share/caffe/models/bvlc_googlenet"
    blocks = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    for file in ("train_val.prototxt", "deploy.prototxt"):  # with auxiliary classifiers, without
        found = cuts(read_net(models / file))
        assert [cut.name for cut in found] == [
            "conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3",
            *(f"inception_{block}/output" for block in blocks),
        ]  # fmt: skip
        assert len(members(found[-1].below)) == 3 + 6 * len(blocks)


def test_bare_scores(caffe_prefix: Path) -> None:
    net = read_net(caffe_prefix / "share/caffe/models/bvlc_reference_rcnn_ilsvrc13/deploy.prototxt")
    assert [cut.name for cut in cuts(net)][-2:] == ["fc6", "fc7"]


def test_labels_before_images() -> None:
    net = inception()
    net.layer[0].top[:] = ["label", "data"]
    assert [cut.name for cut in cuts(net)] == ["conv1", "a/output", "b"]


@pytest.mark.parametrize(
    ("name", "n", "blob"),
    [
        ("conv1", 1, "conv1"), ("relu1", 1, "conv1"), ("a/output", 2, "a/output"), ("b", 3, "b"),
        ("a/3x3", 0, "a/3x3"), ("a/reduce", 0, "a/reduce"),
    ],
)  # fmt: skip
def test_cuts_by_name(name: str, n: int, blob: str) -> None:
    cut = find_cut(inception(), name)
    assert (cut.n, cut.name) == (n, blob)
    assert bool(cut.torn) == (n == 0)


def test_a_cut_inside_a_block_tears_what_passes_it_by() -> None:
    cut = find_cut(inception(), "a/3x3")
    assert [layer.name for layer in cut.below] == ["conv1", "a/reduce", "a/3x3"]
    assert cut.torn == ("conv1",)  # a/1x1, which starts fresh, reads it too


def test_what_is_no_cut() -> None:
    net = inception()
    with pytest.raises(BadInput, match=r"has no blob or layer 'a/ouput'; did you mean a/output"):
        find_cut(net, "a/ouput")
    with pytest.raises(BadInput, match=r"'fc' is not below the classifier, .* conv1, a/output, b"):
        find_cut(net, "fc")
    with pytest.raises(BadInput, match="no weight layer lies below 'data'"):
        find_cut(net, "data")
    one = text_format.Parse(
        """
        name: "one"
        layer { name: "data" type: "Data" top: "data" top: "label" }
        layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" }
        """,
        pb.NetParameter(),
    )
    with pytest.raises(BadInput, match="net 'one' has no place to cut at"):
        cuts(one)
