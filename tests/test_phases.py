"""Include and exclude rules of layers (Net::FilterNet)."""

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.phases import (
    TEST,
    TRAIN,
    check_rules,
    included_in,
    learning_layers,
    phase_layers,
    phases_of,
)


@pytest.mark.parametrize(
    ("rules", "state", "in_net"),
    [
        ("", "phase: TEST", True),
        ("include { phase: TRAIN }", "phase: TEST", False),
        ("exclude { phase: TEST }", "phase: TEST", False),
        ("include { min_level: 2 }", "level: 1", False),
        ("include { max_level: 2 }", "level: 1", True),
        ('include { stage: "a" stage: "b" }', 'stage: "a"', False),
        ('include { stage: "a" } include { stage: "b" }', 'stage: "b"', True),
        ('include { not_stage: "a" }', 'stage: "a"', False),
        ('exclude { stage: "a" }', 'stage: "b"', True),
    ],
)
def test_rules_of_phase_level_and_stage(rules: str, state: str, in_net: bool) -> None:
    layer = text_format.Parse(rules, pb.LayerParameter())
    assert included_in(layer, text_format.Parse(state, pb.NetState())) is in_net


def parsed(text: str) -> pb.NetParameter:
    return text_format.Parse(text, pb.NetParameter())


def test_the_layers_of_each_phase() -> None:
    net = parsed(
        """
        state { stage: "mine" }
        layer { name: "both" }
        layer { name: "train" bottom: "x" include { phase: TRAIN } }
        layer { name: "test" exclude { phase: TRAIN } }
        layer { name: "staged" include { phase: TEST stage: "mine" } }
        layer { name: "other" include { stage: "other" } }
        """
    )
    names = {phase: [each.name for each in phase_layers(net, phase)] for phase in (TRAIN, TEST)}
    assert names == {TRAIN: ["both", "train"], TEST: ["both", "test", "staged"]}
    where = [phases_of(net, each) for each in net.layer]
    assert where == [(TRAIN, TEST), (TRAIN,), (TEST,), (TEST,), ()]
    assert [each.name for each in learning_layers(net)] == names[TRAIN]


def test_a_net_of_test_alone_learns_nowhere_else() -> None:
    net = parsed(
        """
        layer { name: "data" top: "x" }
        layer { name: "test" bottom: "x" include { phase: TEST } }
        """
    )
    assert [each.name for each in learning_layers(net)] == ["data", "test"]


def test_rules_are_of_one_kind() -> None:
    layer = text_format.Parse('name: "a" include {} exclude {}', pb.LayerParameter())
    with pytest.raises(BadInput, match=r"layer 'a' has include and exclude rules; give it rules"):
        check_rules(layer)
