"""RNN and LSTM, which run through time, and LSTMUnit, one step of the latter."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe_transfer.caffe_torch import fillers
from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays, part, under, vector
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.recurrent import STATES, wiring


class _Recurrent(Layer):
    """Base of both (recurrent_layer.cpp): bottoms x (steps, streams, ...), cont (steps, streams).

    Where cont is 0 a sequence begins, and the state before it counts for nothing.  The last state
    is the first of the next batch, unless states are exposed as bottoms and tops; gradients end at
    both.  Another number of streams begins with zeros; of fewer, Caffe keeps what was there.
    """

    capturable: ClassVar[bool] = False  # keeps states for the next batch
    shared: ClassVar[int]  # the number of parameters, from the last, that every step uses

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        super().__init__(param, phase, rng)
        self._steps: int | None = None

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        tops = super().set_up(bottoms)
        # Caffe's unrolled net has a layer for each step, which draws weights of its own, and then
        # takes those of the first step.
        drawn = list(zip(self.parameter_fillers(), self.blobs, strict=True))[-self.shared :]
        for _ in range(bottoms[0][0] - 1):
            for filler, blob in drawn:
                fillers.fill(filler, tuple(blob.shape), self.rng, self.param.name)
        return tops

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        self._wiring = wiring(self.param)
        steps, streams = bottoms[1]
        if self._steps not in (None, steps):
            raise self.refuse(f"was set up for {self._steps} time steps, and got {steps}")
        self._steps = steps
        state = torch.zeros(1, streams, tops[0][2], device=self.device)
        self._states = [state] * STATES[self.param.type]

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.recurrent_param
        static = [given.weight_filler] if self._wiring.has_static else []
        return [given.weight_filler, given.bias_filler, *static, given.weight_filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        found = self._wiring
        inputs = F.linear(bottoms[0].flatten(2), self.blobs[0], self.blobs[1])
        if found.has_static:
            inputs = inputs + F.linear(bottoms[2].flatten(1), self.blobs[2])
        states = [state.detach() for state in bottoms[found.states_from :]] or self._states
        conts = bottoms[1].detach().float()
        outputs = []
        for x, cont in zip(inputs.chunk(len(inputs)), conts.chunk(len(inputs)), strict=True):
            output, states = self._step(x, cont[..., None], states)
            outputs.append(output)
        last = [state.detach() for state in states]
        if found.exposed:
            return [torch.cat(outputs), *last]
        self._states = last
        return [torch.cat(outputs)]

    def state(self) -> Arrays:
        bottoms = {str(number): np.array(shape) for number, shape in enumerate(self._bottoms)}
        states = {
            str(number): state.float().cpu().numpy().copy()
            for number, state in enumerate(self._states)
        }
        return under("bottoms", bottoms) | under("states", states)

    def restore(self, state: Arrays) -> None:
        bottoms, states = part(state, "bottoms"), part(state, "states")
        self.reshape([tuple(vector(bottoms, name, np.int64).tolist()) for name in bottoms])
        for own, given in zip(self._states, states.values(), strict=True):
            if own.shape != given.shape or given.dtype != np.float32:
                raise ValueError("its states are of other shapes")
        self._states = [torch.from_numpy(given).to(self.device) for given in states.values()]

    def _step(self, x: Tensor, cont: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The output of a step and the states after it; all (1, streams, ...)."""
        raise NotImplementedError


class RNN(_Recurrent):
    """rnn_layer.cpp: h = tanh(W_hh h + W_xh x + b_h), o = tanh(W_ho h + b_o)."""

    shared = 3

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.recurrent_param
        return [*super().parameter_fillers(), given.weight_filler, given.bias_filler]

    def _step(self, x: Tensor, cont: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        of_hidden, of_output, bias = self.blobs[-3:]
        hidden = torch.tanh(F.linear(cont * states[0], of_hidden).float() + x)
        return torch.tanh(F.linear(hidden, of_output, bias).float()), [hidden]


class LSTM(_Recurrent):
    """lstm_layer.cpp: gates (i, f, o, g) = W_hc h + W_xc x + b_c; states h and c."""

    shared = 1

    def _step(self, x: Tensor, cont: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        hidden, cells = states
        gates = F.linear(cont * hidden, self.blobs[-1]).float() + x
        cells, hidden = _lstm_unit(cells, gates, cont)
        return hidden, [hidden, cells]


class LSTMUnit(Layer):
    """lstm_unit_layer.cpp: bottoms c, gates and cont; tops the next c and h."""

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        cells, gates, cont = (bottom.float() for bottom in bottoms)
        return list(_lstm_unit(cells, gates, cont.detach()[..., None]))


def _lstm_unit(cells: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
    """The cells and the hidden state after a step."""
    i, f, o, g = gates.chunk(4, -1)
    forget: Tensor = _Forget.apply(f, cont)  # type: ignore[no-untyped-call]
    cells = forget * cells + torch.sigmoid(i) * torch.tanh(g)
    return cells, torch.sigmoid(o) * torch.tanh(cells)


class _Forget(torch.autograd.Function):
    """f = cont sigmoid(x), whose gradient in Caffe is f (1 - f), whatever cont is."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, cont: Tensor) -> Tensor:
        forget = cont * torch.sigmoid(x)
        ctx.save_for_backward(forget)
        return forget

    @staticmethod
    def backward(ctx: Any, diff: Tensor) -> tuple[Tensor, None]:
        (forget,) = ctx.saved_tensors
        return diff * forget * (1 - forget), None
