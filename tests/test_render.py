"""Rendered nets and solvers: the authors' bytes, real Caffe's reading, and what cannot be said."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets.dialect_2014 import FRESH_SUFFIX
from caffe_transfer.nets.layers import frozen_layers
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.nets.templates import quoted
from caffe_transfer.nets.write import links
from caffe_transfer.studies.load import load_study, paper
from caffe_transfer.studies.network import Network

PAPER = paper()
DEMO = load_study("fashion-mnist")
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
KINDS = ["netbase", "half0A", "halfnatmanB", "transfer0A0B_1_4", "transfer-ft0A0B_1_4",
         "transfer0A0A_1_7", "transfernatmanAB_1_1", "nolearn_1_3", "reduced-0010",
         "transfer0A0B_1_2-preserve3"]  # fmt: skip


def test_dialect_2014_is_the_authors_byte_for_byte(authors: Path) -> None:
    folders = sorted((authors / "results").iterdir())
    files = 0
    for folder in folders:
        network = Network.parse(folder.name)
        ours = {name: text.encode() for name, text in render(
            network, PAPER, "2014").items()}  # fmt: skip
        theirs = {path.name: path.read_bytes() for path in folder.glob("*.prototxt")}
        assert ours == theirs, folder.name
        files += len(theirs)
        for name, target in links(network, "2014").items():
            link = folder / name
            found = os.readlink(link) if link.is_symlink() else link.read_text()
            assert found == target, link
    assert files == 3 * len(folders) >= 3 * 34


@pytest.mark.parametrize("network", PAPER.networks, ids=lambda network: network.name)
def test_every_network_of_the_paper_freezes_alike_in_both_dialects(network: Network) -> None:
    old = upgrade_net(
        text_format.Parse(
            render(network, PAPER, "2014")["imagenet_train.prototxt"], pb.NetParameter()
        )
    )
    new = parsed_net(render(network, PAPER))
    assert frozen_layers(old) == frozen_layers(new) == LAYERS[: network.frozen_count]


@pytest.mark.parametrize("name", KINDS)
def test_real_caffes_upgrade_of_2014_means_the_same(
    name: str, caffe_prefix: Path, tmp_path: Path
) -> None:
    network = Network.parse(name)
    old = render(network, PAPER, "2014")
    new = parsed_net(render(network, replace(PAPER, all_outputs=True)))
    for file, text in old.items():
        (tmp_path / file).write_text(text)
    subprocess.run(
        [caffe_prefix / "bin/upgrade_net_proto_text", tmp_path / "imagenet_train.prototxt",
         tmp_path / "upgraded"],
        check=True, capture_output=True,
    )  # fmt: skip
    upgraded = text_format.Parse((tmp_path / "upgraded").read_text(), pb.NetParameter())
    assert meaning(upgraded) == meaning(new)
    assert shapes(upgraded) == shapes(new)


def meaning(net: pb.NetParameter) -> list[dict[str, str]]:
    """The layers between data and loss, without what docs/dialects.md tells to differ."""
    found: list[dict[str, str]] = []
    for layer in net.layer:
        if layer.type in ("Data", "Accuracy") or layer.name == "loss":
            continue
        text = text_format.MessageToString(layer).replace(FRESH_SUFFIX, "")
        each = text_format.Parse(text, pb.LayerParameter())
        for spec in each.param:
            if spec.lr_mult == 1:
                spec.ClearField("lr_mult")  # the default, said or not
        kinds = {field.name: str(value) for field, value in each.ListFields()}
        kinds["param"] = str([(s.lr_mult, s.decay_mult) for s in each.param])
        found.append(kinds)
    return found


def shapes(net: pb.NetParameter) -> dict[str, object]:
    found = parameter_shapes(net, (3, 227, 227))
    return {name.removesuffix(FRESH_SUFFIX): value for name, value in found.items()}


@pytest.mark.parametrize(("study", "name"), [(PAPER, "transfer0A0B_1_4"), (DEMO, "half0B")])
def test_shapes_are_those_of_pycaffe(
    study: object, name: str, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    files = render(Network.parse(name), study)  # type: ignore[arg-type]
    (tmp_path / "deploy.prototxt").write_text(files["deploy.prototxt"])
    code = (
        "import sys, json, caffe\n"
        "net = caffe.Net(sys.argv[1], caffe.TEST)\n"
        "print(json.dumps({k: [list(b.data.shape) for b in v] for k, v in net.params.items()}))\n"
    )
    theirs = json.loads(pycaffe(code, tmp_path / "deploy.prototxt"))
    deploy = text_format.Parse(files["deploy.prototxt"], pb.NetParameter())
    shape = tuple(deploy.layer[0].input_param.shape[0].dim[1:])
    ours = parameter_shapes(parsed_net(files), shape)
    assert {name: [list(s) for s in shapes] for name, shapes in ours.items()} == theirs


@pytest.mark.parametrize("name", KINDS)
def test_frozen_layers_have_zero_multipliers_and_the_others_not(name: str) -> None:
    network = Network.parse(name)
    net = parsed_net(render(network, PAPER))
    learned = {layer.name: layer for layer in net.layer if layer.param}
    assert tuple(learned) == LAYERS
    for layer in learned.values():
        rates = [spec.lr_mult for spec in layer.param]
        assert rates == ([0, 0] if layer.name in LAYERS[: network.frozen_count] else [1, 2])


def test_bias_fillers_are_one_where_the_paper_has_them() -> None:
    net = parsed_net(render(Network.parse("half0A"), PAPER))
    ones = []
    for layer in net.layer:
        filler = (layer.convolution_param if layer.type == "Convolution"
                  else layer.inner_product_param).bias_filler  # fmt: skip
        if filler.value == 1:
            ones.append(layer.name)
    assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]


@given(st.text())
def test_no_text_breaks_out_of_a_string(text: str) -> None:
    parsed = text_format.Parse(f"name: {quoted(text)}", pb.NetParameter())
    assert parsed == pb.NetParameter(name=text)


def test_names_with_quotes_stay_one_string(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = 'a" layer { name: "b\n'
    monkeypatch.setattr("caffe_transfer.paths.DataFolder.mean", Path(evil))
    net = parsed_net(render(Network.parse("half0A"), DEMO))
    assert [layer.transform_param.mean_file for layer in net.layer[:2]] == [evil] * 2
    assert net.layer[2].name == "conv1"


def test_what_cannot_be_said() -> None:
    network = Network.parse("half0A")
    with pytest.raises(BadInput, match=r"dialect '1\.1' is unknown; choose one of 1\.0, 2014"):
        render(network, PAPER, "1.1")
    with pytest.raises(BadInput, match="exists for the net caffenet only"):
        render(network, DEMO, "2014")
    for name in ("transfer0A0B_1_8", "nolearn_1_9"):
        with pytest.raises(BadInput, match=r"net mini has 7 cuts, .* n from 1 to 7"):
            render(Network.parse(name), DEMO)
    with pytest.raises(BadInput, match=r"preserve = 3 .* with n = 5 it goes from 0 to 2"):
        render(Network.parse("transfer0A0B_1_5-preserve3"), DEMO)
    with pytest.raises(BadInput, match=r"no net .resnet.; name a prototxt or one of"):
        render(network, replace(DEMO, net="resnet"))
    tiny = replace(DEMO, net="caffenet")
    with pytest.raises(BadInput, match=r"layer .* has a window larger than its input"):
        render(network, tiny)
