"""Freezes layers, so that training cannot change any blob of theirs."""

from collections.abc import Collection

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.layers import blob_count
from caffe_transfer.nets.phases import TRAIN, phases_of


def freeze(net: pb.NetParameter, frozen: Collection[str]) -> None:
    """Freeze the layers of some names, in every phase, and let the others learn.

    Every blob of a frozen layer gets multipliers of 0, and BatchNorm uses the statistics that it
    has, which otherwise go on moving whatever their multipliers.  A learning BatchNorm must not
    use them: fresh ones are zero.

    Raises:
        BadInput: a frozen and a learning layer share a parameter; names them.
    """
    _check_shared(net, frozen)
    for layer in net.layer:
        if layer.name in frozen:
            _freeze(layer)
        elif TRAIN in phases_of(net, layer) and layer.batch_norm_param.use_global_stats:
            choose_by_phase(layer)


def choose_by_phase(layer: pb.LayerParameter) -> None:
    """Let a BatchNorm use its statistics in TEST, and the batch's in TRAIN: Caffe's default."""
    layer.batch_norm_param.ClearField("use_global_stats")
    if not layer.batch_norm_param.ListFields():
        layer.ClearField("batch_norm_param")


def _freeze(layer: pb.LayerParameter) -> None:
    for _ in range(blob_count(layer) - len(layer.param)):
        layer.param.add()
    for spec in layer.param:
        spec.lr_mult = spec.decay_mult = 0
    if layer.type == "BatchNorm":
        layer.batch_norm_param.use_global_stats = True


def _check_shared(net: pb.NetParameter, frozen: Collection[str]) -> None:
    users: dict[str, pb.LayerParameter] = {}
    for layer in net.layer:
        for spec in layer.param:
            other = users.setdefault(spec.name, layer)
            if spec.name and (layer.name in frozen) != (other.name in frozen):
                first, second = sorted((layer, other), key=lambda one: one.name not in frozen)
                raise BadInput(
                    f"layer {first.name!r} is frozen and layer {second.name!r} learns, but they "
                    f"share the parameter {spec.name!r}; cut the net elsewhere, or name the "
                    "parameters differently"
                )
