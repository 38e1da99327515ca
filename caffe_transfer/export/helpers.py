"""What generated modules need beyond torch; those that a net uses are copied into its module.

Each stands alone: it may use torch, F, nn, Tensor and what is named in NEEDS.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Scale(nn.Module):
    """gamma x + beta."""

    def __init__(self, shape: Sequence[int], bias: bool = True) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma if self.beta is None else x * self.gamma + self.beta


class Bias(nn.Module):
    """x + bias."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class Embed(nn.Module):
    """A row of weight for each index, and a bias."""

    def __init__(self, indices: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(indices, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        rows = F.embedding(x.long(), self.weight)
        return rows if self.bias is None else rows + self.bias


class LSTM(nn.Module):
    """Caffe's LSTM over x (steps, streams, features); where cont is 0, a sequence begins.

    States begin with zeros unless they are given.  Returns the outputs and the last states.
    """

    def __init__(self, inputs: int, outputs: int, static: int = 0) -> None:
        super().__init__()
        self.weight_input = nn.Parameter(torch.zeros(4 * outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(4 * outputs))
        self.weight_static = nn.Parameter(torch.zeros(4 * outputs, static)) if static else None
        self.weight_hidden = nn.Parameter(torch.zeros(4 * outputs, outputs))

    def forward(
        self, x: Tensor, cont: Tensor, static: Tensor | None = None,
        hidden: Tensor | None = None, cells: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        inputs = F.linear(x.flatten(2), self.weight_input, self.bias)
        if static is not None and self.weight_static is not None:
            inputs = inputs + F.linear(static.flatten(1), self.weight_static)
        zeros = inputs.new_zeros(1, inputs.shape[1], self.weight_hidden.shape[1])
        hidden = zeros if hidden is None else hidden
        cells = zeros if cells is None else cells
        outputs = []
        for step in range(inputs.shape[0]):
            one = slice(step, step + 1)
            going = cont[one, :, None]
            gates = inputs[one] + F.linear(going * hidden, self.weight_hidden)
            cells, hidden = lstm_unit(cells, gates, cont[one])
            outputs.append(hidden)
        return torch.cat(outputs), hidden, cells


class RNN(nn.Module):
    """Caffe's RNN over x (steps, streams, features); where cont is 0, a sequence begins.

    The state begins with zeros unless it is given.  Returns the outputs and the last state.
    """

    def __init__(self, inputs: int, outputs: int, static: int = 0) -> None:
        super().__init__()
        self.weight_input = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_static = nn.Parameter(torch.zeros(outputs, static)) if static else None
        self.weight_hidden = nn.Parameter(torch.zeros(outputs, outputs))
        self.weight_output = nn.Parameter(torch.zeros(outputs, outputs))
        self.bias_output = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, x: Tensor, cont: Tensor, static: Tensor | None = None, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        inputs = F.linear(x.flatten(2), self.weight_input, self.bias)
        if static is not None and self.weight_static is not None:
            inputs = inputs + F.linear(static.flatten(1), self.weight_static)
        if hidden is None:
            hidden = inputs.new_zeros(1, inputs.shape[1], self.weight_hidden.shape[1])
        outputs = []
        for step in range(inputs.shape[0]):
            one = slice(step, step + 1)
            going = cont[one, :, None]
            hidden = torch.tanh(inputs[one] + F.linear(going * hidden, self.weight_hidden))
            outputs.append(torch.tanh(F.linear(hidden, self.weight_output, self.bias_output)))
        return torch.cat(outputs), hidden


def lstm_unit(cells: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
    """The cells and the hidden state after a step."""
    i, f, o, g = gates.chunk(4, -1)
    cells = cont[..., None] * torch.sigmoid(f) * cells + torch.sigmoid(i) * torch.tanh(g)
    return cells, torch.sigmoid(o) * torch.tanh(cells)


def lrn_within(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """Local response normalization over size x size pixels of a channel."""
    means = F.avg_pool2d(x * x, size, stride=1, padding=size // 2)
    return x * (1 + alpha * means) ** -beta


def mvn(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """x less its mean over axes, divided by its deviation + eps."""
    x = x - x.mean(axes, keepdim=True)
    return x / ((x * x).mean(axes, keepdim=True).sqrt() + eps)


def largest(x: Tensor, axis: int, number: int) -> tuple[Tensor, Tensor]:
    """The largest values along an axis and their indices, as numbers; the last of equal ones."""
    values, indices = x.flip(axis).topk(number, axis)
    return values, (x.shape[axis] - 1 - indices).float()


# Helpers that others call.
NEEDS = {"LSTM": ("lstm_unit",)}
