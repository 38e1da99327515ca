"""Which layers of a net exist in a phase, at a level and in stages (Net::FilterNet).

Nothing here imports protobuf: `copy` starts faster than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caffe_transfer.errors import BadInput

if TYPE_CHECKING:
    from caffe_transfer.formats.proto import caffe_pb2 as pb

TRAIN, TEST = 0, 1  # caffe_pb2.TRAIN and TEST


@dataclass(frozen=True)
class _State:
    """What rules look at in a NetState."""

    phase: int
    level: int
    stage: Sequence[str]


def included_in(layer: "pb.LayerParameter", state: "pb.NetState | _State") -> bool:
    """Whether a layer's include and exclude rules leave it in a net of this state."""
    if layer.include:
        return any(_meets(rule, state) for rule in layer.include)
    return not any(_meets(rule, state) for rule in layer.exclude)


def check_rules(layer: "pb.LayerParameter") -> None:
    """Check that a layer's rules are of one kind, as Caffe does.

    Raises:
        BadInput: it has both; names it.
    """
    if layer.include and layer.exclude:
        raise BadInput(
            f"layer {layer.name!r} has include and exclude rules; give it rules of one kind"
        )


def phases_of(net: "pb.NetParameter", layer: "pb.LayerParameter") -> tuple[int, ...]:
    """The phases that a layer exists in, at the net's own level and in its own stages."""
    if not layer.include and not layer.exclude:  # most layers
        return (TRAIN, TEST)
    level, stage = net.state.level, net.state.stage
    return tuple(p for p in (TRAIN, TEST) if included_in(layer, _State(p, level, stage)))


def phase_layers(net: "pb.NetParameter", phase: int) -> "list[pb.LayerParameter]":
    """The layers of a net in a phase."""
    return [layer for layer in net.layer if phase in phases_of(net, layer)]


def learning_layers(net: "pb.NetParameter") -> "list[pb.LayerParameter]":
    """The layers of a net while it learns: those of TRAIN, or of TEST where TRAIN has none."""
    found = phase_layers(net, TRAIN)
    return found if any(layer.bottom for layer in found) else phase_layers(net, TEST)


def _meets(rule: "pb.NetStateRule", state: "pb.NetState | _State") -> bool:
    return (
        (not rule.HasField("phase") or rule.phase == state.phase)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and all(stage in state.stage for stage in rule.stage)
        and not any(stage in state.stage for stage in rule.not_stage)
    )
