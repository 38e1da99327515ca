"""A rendered prototxt is parsed back and held against the network that it was written for."""

from collections.abc import Collection, Sequence

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets.layers import blob_count, is_frozen, members, weight_layers
from caffe_transfer.nets.shapes import Shape, parameter_shapes
from caffe_transfer.studies.network import Network


def check_solver(text: str, name: str) -> pb.SolverParameter:
    """Parse a solver.

    Raises:
        FormatError: it is none; names the line.
    """
    return parse(text, pb.SolverParameter(), name)


def check_net_1_0(
    text: str,
    name: str,
    frozen: Collection[str],
    data_shape: Shape,
    given: pb.NetParameter | None = None,
) -> pb.NetParameter:
    """Check a net of dialect 1.0: the freezing is right, and the shapes fit.

    Args:
        frozen: names of the layers that are not to learn.
        data_shape: (channels, height, width) of the images that the net sees.
        given: the user's net that it was made from, whose multipliers its learning layers keep;
            those of a built-in template are above 0.

    Raises:
        BadInput: names the layer.
    """
    net = parse(text, pb.NetParameter(), name)
    _check_freezing(net, name, frozen, given)
    try:
        parameter_shapes(net, data_shape)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from error
    return net


def check_net_2014(
    text: str, name: str, network: Network, expected: Sequence[str]
) -> pb.NetParameter:
    """Check a net of dialect 2014: the weight layers' names and the freezing are right.

    Args:
        expected: the names of the weight layers, those of fresh ones with their suffix.

    Raises:
        BadInput: names the layer.
    """
    net = upgrade_net(parse(text, pb.NetParameter(), name), name)
    layers = weight_layers(net)
    found = [layer.name for layer in layers]
    if found != list(expected):
        raise BadInput(
            f"{name} has the weight layers {', '.join(found)} where this network has "
            f"{', '.join(expected)}; correct the net's template"
        )
    if any(layer.param for layer in net.layer):  # validation nets of 2014 carry no multipliers
        _check_freezing(net, name, members(layers[: network.frozen_count]))
    return net


def _check_freezing(
    net: pb.NetParameter, name: str, frozen: Collection[str], given: pb.NetParameter | None = None
) -> None:
    for missing in set(frozen) - {layer.name for layer in net.layer}:
        raise BadInput(f"{name}: layer {missing} is to be frozen, but the net has no such layer")
    for layer in net.layer:
        if layer.name in frozen:
            _check_frozen(layer, name)
        elif given is not None:
            _check_kept(layer, name, given)
        elif layer.type != "BatchNorm" and not all(spec.lr_mult for spec in layer.param):
            raise BadInput(f"{name}: layer {layer.name} is to learn, but has lr_mult 0")


def _check_frozen(layer: pb.LayerParameter, name: str) -> None:
    if blob_count(layer) and not is_frozen(layer):
        what = "moves its statistics" if layer.type == "BatchNorm" else "has a multiplier above 0"
        raise BadInput(f"{name}: layer {layer.name} is to be frozen, but {what}")
    if any(spec.lr_mult or spec.decay_mult for spec in layer.param):
        raise BadInput(f"{name}: layer {layer.name} is to be frozen, but has a multiplier above 0")


def _check_kept(layer: pb.LayerParameter, name: str, given: pb.NetParameter) -> None:
    users = [list(each.param) for each in given.layer if each.name == layer.name]
    if list(layer.param) not in (users or [[]]):
        raise BadInput(
            f"{name}: layer {layer.name} is to learn with the multipliers that it was given, but "
            "has others"
        )
