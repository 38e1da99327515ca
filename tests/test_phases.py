"""Include and exclude rules of layers (Net::FilterNet)."""

import pytest
from google.protobuf import text_format

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.phases import included_in


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
