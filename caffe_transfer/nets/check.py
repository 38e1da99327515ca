"""A rendered prototxt is parsed back and held against the network that it was written for."""

from collections.abc import Iterable

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.studies.network import LEARNED_LAYERS, Network


def check_solver(text: str, name: str) -> pb.SolverParameter:
    """Parse a solver."""
    return parse(text, pb.SolverParameter(), name)


def check_net_1_0(
    text: str, name: str, network: Network, data_shape: tuple[int, int, int]
) -> pb.NetParameter:
    """Check a net of dialect 1.0: layers complete, freezing right, shapes fit.

    Raises:
        BadInput: names the layer.
    """
    net = parse(text, pb.NetParameter(), name)
    learned = {layer.name: layer for layer in net.layer if layer.param}
    _check_layers(name, learned, LEARNED_LAYERS)
    for layer in learned.values():
        multipliers = [(spec.lr_mult, spec.decay_mult) for spec in layer.param]
        _check_freezing(name, layer.name, layer.name in network.frozen_layers, multipliers)
    parameter_shapes(net, data_shape)
    return net


def check_net_2014(text: str, name: str, network: Network, fresh_suffix: str) -> pb.NetParameter:
    """Check a net of dialect 2014: layers complete and renamed, freezing right."""
    net = parse(text, pb.NetParameter(), name)
    learned = {each.layer.name: each.layer for each in net.layers if each.layer.num_output}
    kept = network.copied_layers if network.base else LEARNED_LAYERS
    expected = [layer if layer in kept else layer + fresh_suffix for layer in LEARNED_LAYERS]
    _check_layers(name, learned, expected)
    for layer in learned.values():
        multipliers = list(zip(layer.blobs_lr, layer.weight_decay, strict=True))
        frozen = layer.name in network.frozen_layers
        if multipliers:  # validation nets of 2014 carry none
            _check_freezing(name, layer.name, frozen, multipliers)
    return net


def _check_layers(name: str, found: Iterable[str], expected: Iterable[str]) -> None:
    if list(found) != list(expected):
        raise BadInput(
            f"{name} has the learned layers {', '.join(found)} where a net of this study has "
            f"{', '.join(expected)}; mend the net's template"
        )


def _check_freezing(
    name: str, layer: str, frozen: bool, multipliers: list[tuple[float, float]]
) -> None:
    rates = [rate for rate, _ in multipliers]
    if frozen and any(rate or decay for rate, decay in multipliers):
        raise BadInput(f"{name}: layer {layer} is to be frozen, but has a multiplier above 0")
    if not frozen and not all(rates):
        raise BadInput(f"{name}: layer {layer} is to learn, but has lr_mult 0")
