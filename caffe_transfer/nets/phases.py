"""Which layers of a net exist in a phase, at a level and in stages (Net::FilterNet)."""

from caffe_transfer.formats.proto import caffe_pb2 as pb


def included_in(layer: pb.LayerParameter, state: pb.NetState) -> bool:
    """Whether a layer's include and exclude rules leave it in a net of this state."""
    if layer.include:
        return any(_meets(rule, state) for rule in layer.include)
    return not any(_meets(rule, state) for rule in layer.exclude)


def _meets(rule: pb.NetStateRule, state: pb.NetState) -> bool:
    return (
        (not rule.HasField("phase") or rule.phase == state.phase)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and all(stage in state.stage for stage in rule.stage)
        and not any(stage in state.stage for stage in rule.not_stage)
    )
