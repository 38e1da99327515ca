"""A rendered prototxt is parsed back and held against the network that it was written for."""

from collections.abc import Collection, Sequence

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets.layers import members, weight_layers
from caffe_transfer.nets.shapes import Shape, parameter_shapes
from caffe_transfer.studies.network import Network


def check_solver(text: str, name: str) -> pb.SolverParameter:
    """Parse a solver.

    Raises:
        FormatError: it is none; names the line.
    """
    return parse(text, pb.SolverParameter(), name)


def check_net_1_0(
    text: str, name: str, frozen: Collection[str], data_shape: Shape
) -> pb.NetParameter:
    """Check a net of dialect 1.0: the freezing is right, and the shapes fit.

    Raises:
        BadInput: names the layer.
    """
    net = parse(text, pb.NetParameter(), name)
    _check_freezing(net, name, frozen)
    parameter_shapes(net, data_shape)
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


def _check_freezing(net: pb.NetParameter, name: str, frozen: Collection[str]) -> None:
    for layer in net.layer:
        rates = [spec.lr_mult for spec in layer.param]
        if layer.name in frozen and (not rates or any(rates) or any(_decays(layer))):
            raise BadInput(
                f"{name}: layer {layer.name} is to be frozen, but has a multiplier above 0"
            )
        if rates and layer.name not in frozen and not all(rates):
            raise BadInput(f"{name}: layer {layer.name} is to learn, but has lr_mult 0")


def _decays(layer: pb.LayerParameter) -> list[float]:
    return [spec.decay_mult for spec in layer.param]
