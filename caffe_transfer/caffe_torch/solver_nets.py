"""The nets that a solver names: one to train, any number to test (Solver::InitTestNets)."""

from collections.abc import Sequence
from pathlib import Path

import torch

from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net


def build_net(
    param: pb.NetParameter, phase: int, states: Sequence[pb.NetState | None],
    rng: Rng, device: torch.device,
) -> Net:  # fmt: skip
    """Build the net of a phase; level and stages come from the net itself, then from the states.

    Raises:
        BadInput: a layer does not fit; names it.
    """
    state = pb.NetState(phase=phase)  # type: ignore[arg-type]
    state.MergeFrom(param.state)
    for more in states:
        if more is not None:
            state.MergeFrom(more)
    return Net(param, state, rng, device)


def training_net(param: pb.SolverParameter) -> pb.NetParameter:
    """The net that a solver trains.

    Raises:
        BadInput: it names none or several; or its file does not fit.
    """
    given = [key for key in ("net", "net_param", "train_net", "train_net_param")
             if param.HasField(key)]  # fmt: skip
    if len(given) != 1:
        raise BadInput(
            "the solver must name its training net once, by net, net_param, train_net or "
            f"train_net_param; it has {' and '.join(given) or 'none'}"
        )
    value = getattr(param, given[0])
    return read_net(Path(value)) if isinstance(value, str) else _inline_net(value, given[0])


def _inline_net(net: pb.NetParameter, key: str) -> pb.NetParameter:
    """A net inside a solver, which Caffe takes as it stands."""
    for old in ("layers", "input"):
        if getattr(net, old):
            raise BadInput(
                f"the solver's {key} has {old!r}, of an older format, which Caffe upgrades only in "
                "files of their own; move it into one, or write it as 'layer'"
            )
    return net


def test_nets(param: pb.SolverParameter, rng: Rng, device: torch.device) -> list[Net]:
    """The nets that a solver tests, one for each test_iter, in Caffe's order.

    Raises:
        BadInput: their settings do not fit one another, or a layer does not fit.
    """
    nets = [_inline_net(net, "test_net_param") for net in param.test_net_param]
    nets += [read_net(Path(name)) for name in param.test_net]
    missing = len(param.test_iter) - len(nets)
    shared = param.HasField("net") or param.HasField("net_param")
    if missing < 0 or (missing > 0 and not shared):
        raise BadInput(
            f"the solver has {len(param.test_iter)} test_iter for {len(nets)} test nets; "
            "give one for each"
        )
    nets += [training_net(param)] * missing
    if param.test_state and len(param.test_state) != len(nets):
        raise BadInput(f"the solver has {len(param.test_state)} test_state for {len(nets)} nets")
    if nets and param.test_interval <= 0:
        raise BadInput("the solver has test_iter, but no test_interval above 0")
    states: Sequence[pb.NetState | None] = list(param.test_state) or [None] * len(nets)
    return [
        build_net(net, pb.TEST, [state], rng, device)
        for net, state in zip(nets, states, strict=True)
    ]
