"""Learning rate schedules, rounded as Caffe's are (SGDSolver::GetLearningRate)."""

from collections.abc import Callable

import numpy as np

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb

Schedule = Callable[[pb.SolverParameter, int, int], float]


def learning_rate(solver: pb.SolverParameter, iteration: int, step: int) -> float:
    """The rate of one iteration; `step` counts the steps taken (lr_policy step, multistep).

    As in Caffe it may be infinite, or no number.
    """
    with np.errstate(all="ignore"):
        return float(np.float32(_SCHEDULES[solver.lr_policy](solver, iteration, step)))


def step_of(solver: pb.SolverParameter, iteration: int, step: int) -> int:
    """The number of steps the rate has taken, given the number at the last iteration."""
    if solver.lr_policy == "step":
        return iteration // solver.stepsize
    if solver.lr_policy == "multistep" and step < len(solver.stepvalue):
        return step + (iteration >= solver.stepvalue[step])
    return step


def check_schedule(solver: pb.SolverParameter) -> None:
    """Check the settings of the schedule.

    Raises:
        BadInput: lr_policy is unknown, or lacks a setting.
    """
    if solver.lr_policy not in _SCHEDULES:
        raise BadInput(
            f"the solver's lr_policy {solver.lr_policy!r} is unknown; choose one of "
            f"{', '.join(_SCHEDULES)}"
        )
    if solver.lr_policy not in ("fixed", "poly") and not solver.gamma >= 0:
        raise BadInput(f"lr_policy {solver.lr_policy!r} needs a gamma of 0 or more")
    if solver.lr_policy in ("step", "sigmoid") and solver.stepsize <= 0:
        raise BadInput(f"lr_policy {solver.lr_policy!r} needs a stepsize above 0")


def _fixed(solver: pb.SolverParameter, _iteration: int, _step: int) -> float:
    return solver.base_lr


def _stepped(solver: pb.SolverParameter, _iteration: int, step: int) -> float:
    return float(solver.base_lr * np.float64(solver.gamma) ** step)


def _exp(solver: pb.SolverParameter, iteration: int, _step: int) -> float:
    return float(solver.base_lr * np.float64(solver.gamma) ** iteration)


def _inv(solver: pb.SolverParameter, iteration: int, _step: int) -> float:
    one = np.float32(1)
    base = one + np.float32(solver.gamma) * np.float32(iteration)
    return float(np.float32(solver.base_lr) * base ** np.float32(-solver.power))


def _poly(solver: pb.SolverParameter, iteration: int, _step: int) -> float:
    left = np.float32(1) - np.float32(iteration) / np.float32(solver.max_iter)
    return float(np.float32(solver.base_lr) * left ** np.float32(solver.power))


def _sigmoid(solver: pb.SolverParameter, iteration: int, _step: int) -> float:
    distance = np.float32(iteration) - np.float32(solver.stepsize)
    one = np.float32(1)
    scale = one / (one + np.exp(-np.float32(solver.gamma) * distance))
    return float(np.float32(solver.base_lr) * scale)


_SCHEDULES: dict[str, Schedule] = {
    "fixed": _fixed,
    "step": _stepped,
    "exp": _exp,
    "inv": _inv,
    "multistep": _stepped,
    "poly": _poly,
    "sigmoid": _sigmoid,
}
