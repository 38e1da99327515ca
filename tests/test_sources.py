"""The nets of studies: the package's templates, a user's prototxt, a user's template."""

from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.layers import outputs
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.nets.sources import source_of
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network

DEMO = load_study("fashion-mnist")
RESIDUAL = Path(__file__).parent / "data/residual.prototxt"
BASE = Network.parse("half0A")
TEMPLATE = """{% import "layers.j2" as caffe %}
name: "mine"
{{ caffe.conv(learned.low, "data", 4, 5, 'type: "msra"', 0) }}
{{ caffe.fc(learned.high, "low", outputs, 'type: "msra"', 0) }}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "high" bottom: "label" top: "loss" }
"""


def test_a_net_of_a_study_has_its_data_and_its_classes() -> None:
    study = DEMO.with_net(str(RESIDUAL))
    net = parsed_net(render(BASE, study))
    assert net.name == "residual half0A"
    assert outputs(net) == 5
    assert [layer.data_param.source for layer in net.layer[:2]] == [
        "../../data/half0A_train/lmdb", "../../data/half0A_valid/lmdb",
    ]  # fmt: skip
    assert [layer.data_param.batch_size for layer in net.layer[:2]] == [16, 100]
    assert source_of(study).input_shape == (1, 24, 24)


def test_mean_values_stand_in_for_the_mean() -> None:
    for net in ("mini", str(RESIDUAL)):
        study = replace(DEMO, net=net, images=replace(DEMO.images, mean_values=(104.5,)))
        for layer in parsed_net(render(BASE, study)).layer[:2]:
            assert list(layer.transform_param.mean_value) == [104.5]
            assert not layer.transform_param.mean_file


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.prototxt.j2"
    path.write_text(TEMPLATE)
    study = DEMO.with_net(str(path))
    files = render(Network.parse("transfer0A0B_1_1"), study)
    net = parsed_net(files)
    rates = {layer.name: [spec.lr_mult for spec in layer.param] for layer in net.layer}
    assert rates["low"] == [0, 0]
    assert rates["high"] == [1, 2]
    assert outputs(net) == 5
    deploy = text_format.Parse(files["deploy.prototxt"], pb.NetParameter())
    assert [layer.type for layer in deploy.layer] == [
        "Input", "Convolution", "ReLU", "InnerProduct", "Softmax",
    ]  # fmt: skip


def test_a_net_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(RESIDUAL.read_text())
    study = DEMO.with_net(str(path))
    assert parsed_net(render(BASE, study)).name == "residual half0A"
    path.write_text(RESIDUAL.read_text().replace('"residual"', '"changed"'))
    assert parsed_net(render(BASE, study)).name == "changed half0A"


def test_nets_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no net 'alexnet'; name a prototxt or one of caffenet, m"):
        render(BASE, replace(DEMO, net="alexnet"))
    with pytest.raises(Incomplete, match=r"there is no net .*none\.prototxt; correct"):
        render(BASE, DEMO.with_net(str(tmp_path / "none.prototxt")))
    with pytest.raises(Incomplete, match=r"there is no net .*none\.j2"):
        render(BASE, DEMO.with_net(str(tmp_path / "none.j2")))
    broken = tmp_path / "broken.j2"
    broken.write_text("{{ nothing }}")
    with pytest.raises(BadInput, match=r"broken\.j2 is not a template .*: 'nothing' is undefined"):
        render(BASE, DEMO.with_net(str(broken)))
    other = tmp_path / "other.prototxt"
    other.write_text("max_iter: 3")
    with pytest.raises(FormatError, match=r"other\.prototxt is not a prototxt of this kind: line"):
        render(BASE, DEMO.with_net(str(other)))


def test_a_mean_of_the_study_goes_before_mean_values_of_the_net(tmp_path: Path) -> None:
    net = pb.NetParameter()
    text_format.Parse(RESIDUAL.read_text(), net)
    data = pb.LayerParameter(name="data", type="Data", top=["data", "label"])
    data.transform_param.mean_value.append(128)
    others = [layer for layer in net.layer if layer.type not in ("Input", "Data")]
    path = tmp_path / "train_val.prototxt"
    path.write_text(text_format.MessageToString(pb.NetParameter(layer=[data, *others])))
    study = DEMO.with_net(str(path))
    own = replace(study, images=replace(study.images, mean="mine.binaryproto"))
    for each, values in ((study, [128]), (own, [])):
        layer = parsed_net(render(BASE, each)).layer[0]
        assert list(layer.transform_param.mean_value) == values
        assert bool(layer.transform_param.mean_file) == (not values)


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "9" * 5000 + " }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",  # the way to Python from a template
        "{% for each in range(10000000) %}a{% endfor %}",
        "{{ " + "(" * 20_000 + " }}",
    ],
)
def test_templates_that_do_something_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.j2"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"bad\.j2 is not a template .*; correct it") as found:
        render(BASE, DEMO.with_net(str(path)))
    assert len(str(found.value)) < 400
