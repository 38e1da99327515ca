"""Caffe's six solver types (src/caffe/solvers/).

The history includes the learning rate, so that a change of rate does not rescale past updates;
in PyTorch's optimizers it does not.  A parameter without a gradient has one of 0, and so decays.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.parameters import Parameter
from caffe_transfer.caffe_torch.rng import LARGEST_FLOAT
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb


def _as_float(product: float) -> float:
    """A product of settings; infinite where C++'s float is, for PyTorch refuses larger ones."""
    return math.copysign(math.inf, product) if abs(product) > LARGEST_FLOAT else product


class _FusedSGD:
    """SGD on parameters of one rate and decay, by PyTorch's fused kernel: one pass over memory."""

    def __init__(self) -> None:
        self._tensors: tuple[list[Tensor], ...] = ([], [], [])

    def add(self, value: Tensor, grad: Tensor, history: Tensor) -> None:
        """Add a parameter for `apply`."""
        for row, tensor in zip(self._tensors, (value, grad, history), strict=True):
            row.append(tensor)

    def apply(self, rate: float, momentum: float, decay: float) -> None:
        """Update all parameters.

        The kernel has V = momentum * V + (1 - dampening) * (grad + decay * W), W = W - lr * V:
        with lr 1 and dampening 1 - rate the rate is inside the history, as in Caffe.
        """
        torch._fused_sgd_(
            *self._tensors, weight_decay=decay, momentum=momentum, lr=1.0, dampening=1 - rate,
            nesterov=False, maximize=False, is_first_step=False,
        )  # fmt: skip


class Optimizer:
    """Applies gradients to parameters.

    Attributes:
        history: a blob per parameter, in the order of the solver state; Adam and AdaDelta have a
            second one per parameter, after all first ones.
    """

    def __init__(self, solver: pb.SolverParameter, parameters: Sequence[Parameter]) -> None:
        """Start with a history of zeros.

        Raises:
            BadInput: the solver's type or regularization is unknown, or its settings do not fit.
        """
        if solver.type not in _RULES:
            raise BadInput(
                f"the solver's type {solver.type!r} is unknown; choose one of {', '.join(_RULES)}"
            )
        if solver.regularization_type not in ("L1", "L2"):
            raise BadInput(
                f"regularization_type {solver.regularization_type!r} is unknown; choose L1 or L2"
            )
        if solver.type in ("AdaGrad", "RMSProp") and solver.momentum:
            raise BadInput(f"the solver's type {solver.type} takes no momentum; leave it out")
        if solver.type == "RMSProp" and not 0 <= solver.rms_decay < 1:
            raise BadInput(f"rms_decay is {solver.rms_decay}; it must be at least 0 and below 1")
        self._solver = solver
        self._parameters = parameters
        self._moving: list[tuple[int, Parameter]] | None = None
        self._rule = _RULES[solver.type]
        self._is_fused = (
            solver.type == "SGD" and solver.momentum > 0 and solver.regularization_type == "L2"
        )
        copies = 2 if solver.type in ("Adam", "AdaDelta") else 1
        self.history = [
            torch.zeros_like(parameter.value, requires_grad=False)
            for _ in range(copies)
            for parameter in parameters
        ]

    @torch.no_grad()
    def apply(self, rate: float, iteration: int) -> Tensor | None:
        """Update the parameters by their gradients, and clear these.

        Args:
            rate: of the schedule; multiplied by each parameter's lr_mult.

        Returns:
            the L2 norm of the gradients before clipping, on their device; None without clipping.
        """
        if self._moving is None:  # not before: a snapshot may fill the history
            self._moving = [each for each in enumerate(self._parameters) if self._moves(*each)]
        values = [parameter.value for parameter in self._parameters]
        norm = self._clip([value.grad for value in values if value.grad is not None])
        alike = defaultdict[tuple[float, float], _FusedSGD](_FusedSGD)
        for index, parameter in self._moving:
            value = parameter.value
            grad = torch.zeros_like(value) if value.grad is None else value.grad
            if self._solver.iter_size > 1:
                grad.mul_(1 / self._solver.iter_size)
            histories = self.history[index :: len(self._parameters)]
            local = _as_float(rate * parameter.lr_mult)
            if self._is_fused and grad.stride() == value.stride():
                alike[local, parameter.decay_mult].add(value, grad, histories[0])
            else:
                self._regularize(parameter, grad)
                value.sub_(self._rule(self._solver, grad, histories, local, iteration))
        for value in values:
            value.grad = None
        for (local, decay), fused in alike.items():
            decay = _as_float(self._solver.weight_decay * decay)
            fused.apply(local, self._solver.momentum, decay)
        return norm

    def _moves(self, index: int, parameter: Parameter) -> bool:
        """Whether updates change a parameter or its history.

        With lr_mult 0 its momentum may go on, and the adaptive rules record its decay.
        """
        if parameter.lr_mult:
            return True
        adaptive = self._solver.type not in ("SGD", "Nesterov")
        decays = self._solver.weight_decay * parameter.decay_mult != 0
        if adaptive and (decays or parameter.value.requires_grad):
            return True
        return any(bool(part.any()) for part in self.history[index :: len(self._parameters)])

    def _clip(self, grads: list[Tensor]) -> Tensor | None:
        limit = self._solver.clip_gradients
        if limit < 0 or not grads:
            return None
        norm = torch.stack([grad.pow(2).sum() for grad in grads]).sum().sqrt()
        scale = torch.where(norm > limit, limit / norm, 1.0)  # no branch: it would await the device
        for grad in grads:
            grad.mul_(scale)
        return norm

    def _regularize(self, parameter: Parameter, grad: Tensor) -> None:
        decay = _as_float(self._solver.weight_decay * parameter.decay_mult)
        if decay and self._solver.regularization_type == "L2":
            grad.add_(parameter.value, alpha=decay)
        elif decay:
            grad.add_(parameter.value.sign(), alpha=decay)


Rule = Callable[[pb.SolverParameter, Tensor, list[Tensor], float, int], Tensor]


def _sgd(solver: pb.SolverParameter, grad: Tensor, history: list[Tensor], rate: float,
         _iteration: int) -> Tensor:  # fmt: skip
    return history[0].mul_(solver.momentum).add_(grad, alpha=rate)


def _nesterov(solver: pb.SolverParameter, grad: Tensor, history: list[Tensor], rate: float,
              _iteration: int) -> Tensor:  # fmt: skip
    """Take back the old momentum step, then apply the new one and look ahead by it."""
    back = history[0] * -solver.momentum
    new = history[0].mul_(solver.momentum).add_(grad, alpha=rate)
    return back.add_(new, alpha=1 + solver.momentum)


def _adagrad(solver: pb.SolverParameter, grad: Tensor, history: list[Tensor], rate: float,
             _iteration: int) -> Tensor:  # fmt: skip
    history[0].addcmul_(grad, grad)
    return grad.div(history[0].sqrt().add_(solver.delta)).mul_(rate)


def _rmsprop(solver: pb.SolverParameter, grad: Tensor, history: list[Tensor], rate: float,
             _iteration: int) -> Tensor:  # fmt: skip
    history[0].mul_(solver.rms_decay).addcmul_(grad, grad, value=1 - solver.rms_decay)
    return grad.div(history[0].sqrt().add_(solver.delta)).mul_(rate)


def _adadelta(solver: pb.SolverParameter, grad: Tensor, history: list[Tensor], rate: float,
              _iteration: int) -> Tensor:  # fmt: skip
    """The rate scales the step alone, not the history of updates."""
    grads, updates = history
    grads.mul_(solver.momentum).addcmul_(grad, grad, value=1 - solver.momentum)
    ratio = updates.add(solver.delta).div_(grads.add(solver.delta)).sqrt_()
    step = ratio.mul_(grad)
    updates.mul_(solver.momentum).addcmul_(step, step, value=1 - solver.momentum)
    return step * rate


def _adam(solver: pb.SolverParameter, grad: Tensor, history: list[Tensor], rate: float,
          iteration: int) -> Tensor:  # fmt: skip
    mean, square = history
    beta1, beta2, t = np.float64(solver.momentum), np.float64(solver.momentum2), iteration + 1
    mean.mul_(solver.momentum).add_(grad, alpha=1 - solver.momentum)
    square.mul_(solver.momentum2).addcmul_(grad, grad, value=1 - solver.momentum2)
    with np.errstate(all="ignore"):  # as in Caffe it may be infinite, or no number
        correction = float(np.sqrt(1 - beta2**t) / (1 - beta1**t))
    return mean.div(square.sqrt().add_(solver.delta)).mul_(_as_float(rate * correction))


_RULES: dict[str, Rule] = {
    "SGD": _sgd,
    "Nesterov": _nesterov,
    "AdaGrad": _adagrad,
    "RMSProp": _rmsprop,
    "AdaDelta": _adadelta,
    "Adam": _adam,
}
