"""Layers that run through time: their blobs are (steps, streams, ...)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes.rules import Shape, Shapes, refuse, rule

# The numbers of gates, and of blobs that pass from a step to the next: h, and c of LSTM.
GATES = {"RNN": 1, "LSTM": 4}
STATES = {"RNN": 1, "LSTM": 2}


@dataclass(frozen=True)
class Wiring:
    """The roles of a recurrent layer's bottoms, which are x and cont, then a static input if
    there is one, then the first states if they are exposed.

    Attributes:
        has_static: whether the third bottom is an input that is the same at all steps.
        exposed: the number of states among the bottoms, and among the tops.
    """  # fmt: skip

    has_static: bool
    exposed: int

    @property
    def states_from(self) -> int:
        """The index of the first state among the bottoms."""
        return 2 + self.has_static


def wiring(layer: pb.LayerParameter) -> Wiring:
    """What the bottoms of a recurrent layer are.

    Raises:
        BadInput: their number, or that of the tops, does not fit.
    """
    exposed = STATES[layer.type] * layer.recurrent_param.expose_hidden
    bottoms, tops = len(layer.bottom), len(layer.top)
    if bottoms not in (2 + exposed, 3 + exposed):
        raise refuse(layer, f"has {bottoms} bottoms; it takes {2 + exposed} or {3 + exposed}")
    if tops != 1 + exposed:
        raise refuse(layer, f"has {tops} tops; it takes {1 + exposed}")
    return Wiring(bottoms == 3 + exposed, exposed)


@rule("RNN", "LSTM", bottoms=(2, None), tops=(1, None))
def _recurrent(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """recurrent_layer.cpp, rnn_layer.cpp, lstm_layer.cpp.

    Parameters: of the input, its bias, of the static input, of the hidden state; RNN also has those
    of the output and its bias.
    """
    found, outputs = wiring(layer), layer.recurrent_param.num_output
    if not outputs:
        raise refuse(layer, "has no num_output")
    x, cont = bottoms[:2]
    if len(x) < 3:
        raise refuse(layer, f"needs a bottom (steps, streams, features), not the shape {x}")
    if cont != x[:2]:
        raise refuse(
            layer, f"needs (steps, streams) of its first bottom {x} as its second, not {cont}"
        )
    state = (1, x[1], outputs)
    for shape in bottoms[found.states_from :]:
        if shape != state:
            raise refuse(layer, f"needs states of the shape {state}, not {shape}")
    width = GATES[layer.type] * outputs
    parameters = [(width, math.prod(x[2:])), (width,)]
    if found.has_static:
        parameters.append((width, _features(layer, bottoms[2], x[1])))
    parameters.append((width, outputs))
    if layer.type == "RNN":
        parameters += [(outputs, outputs), (outputs,)]
    return Shapes(((*x[:2], outputs), *(state,) * found.exposed), tuple(parameters))


@rule("LSTMUnit", bottoms=(3, 3), tops=(2, 2))
def _lstm_unit(layer: pb.LayerParameter, bottoms: Sequence[Shape]) -> Shapes:
    """lstm_unit_layer.cpp: one step of LSTM: cells, gates of four times their width, and cont."""
    cells, gates, cont = bottoms
    if len(cells) != 3 or cells[0] != 1:
        raise refuse(layer, f"needs cells of the shape (1, streams, width), not {cells}")
    _, streams, width = cells
    wanted = [(1, streams, 4 * width), (1, streams)]
    if [gates, cont] != wanted:
        raise refuse(
            layer, f"needs bottoms of the shapes {wanted[0]} and {wanted[1]} behind its first, "
            f"{cells}, not {gates} and {cont}",
        )  # fmt: skip
    return Shapes((cells, cells))


def _features(layer: pb.LayerParameter, static: Shape, streams: int) -> int:
    if len(static) < 2 or static[0] != streams:
        raise refuse(
            layer, f"needs a static input ({streams} streams, features), not the shape {static}"
        )
    return math.prod(static[1:])
