"""The settings of a solver, in the terms of Caffe's SolverParameter (caffe.proto)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.schema import Flag, ListOf, Number, OneOf, Place, Whole, keys_of

TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
# What each policy reads, besides base_lr and max_iter (sgd_solver.cpp, GetLearningRate).
POLICIES = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
}
WITHOUT_MOMENTUM = ("AdaGrad", "RMSProp")
# Lines of a user's solver that the study's own take the place of, or that change no result.
_REPLACED = frozenset(
    {
        "net",
        "train_net",
        "test_net",
        "net_param",
        "train_net_param",
        "test_net_param",
        "snapshot_prefix",
        "solver_mode",
        "device_id",
        "random_seed",
        "debug_info",
        "snapshot_diff",
        "snapshot_format",
        "snapshot_after_train",
        "test_compute_loss",
        "test_initialization",
        "layer_wise_reduce",
    }
)  # fmt: skip


@dataclass(frozen=True)
class SolverSettings:
    """How networks are trained (paper section 3: SGD with the step policy); times in iterations."""

    base_lr: Annotated[float, Number(), "learning rate at the start"]
    max_iter: Annotated[int, Whole(1), "iterations of the training"]
    test_iter: Annotated[int, Whole(1), "batches in a test"]
    test_interval: Annotated[int, Whole(1), "iterations between tests"]
    snapshot: Annotated[int, Whole(1), "iterations between snapshots"]
    stepsize: Annotated[
        int | None, Whole(1), "step: iterations after which the rate is multiplied by gamma"
    ] = None
    type: Annotated[str, OneOf(TYPES), "Caffe's solver"] = "SGD"
    lr_policy: Annotated[str, OneOf(tuple(POLICIES)), "how the rate changes"] = "step"
    gamma: Annotated[float, Number(), "factor of the rate, as the policy uses it"] = 0.1
    stepvalue: Annotated[
        tuple[int, ...] | None, ListOf(Whole(1)), "multistep: the iterations of its steps"
    ] = None
    power: Annotated[float | None, Number(), "exponent of inv and poly"] = None
    momentum: Annotated[float, Number(0, 1), "share of the last update in the next"] = 0.9
    momentum2: Annotated[
        float | None, Number(0, 1), "AdaDelta, Adam: share of the squared gradients"
    ] = None
    rms_decay: Annotated[
        float | None, Number(0, 1), "RMSProp: share of the last squared gradients"
    ] = None
    delta: Annotated[
        float | None, Number(positive=True), "adaptive types: keeps divisors from 0"
    ] = None
    weight_decay: Annotated[float, Number(), "factor of the penalty"] = 0.0005
    regularization_type: Annotated[str, OneOf(("L2", "L1")), "the penalty"] = "L2"
    clip_gradients: Annotated[
        float | None, Number(positive=True), "the largest L2 norm of all gradients together"
    ] = None
    iter_size: Annotated[int, Whole(1), "batches whose gradients make one iteration"] = 1
    average_loss: Annotated[int, Whole(1), "losses that a displayed one averages"] = 1
    display: Annotated[int, Whole(), "iterations between losses in the log, 0 for none"] = 20
    gpu: Annotated[bool, Flag(), "train on a GPU"] = False


def check_solver(solver: SolverSettings, place: Place) -> None:
    """Refuse settings that Caffe would abort on.

    Raises:
        BadInput: the policy lacks a key, or the type cannot have one; names the key.
    """
    for key in POLICIES[solver.lr_policy]:
        if getattr(solver, key) is None:
            raise BadInput(
                f"{place.file} lacks {place.key(key)}{place.detail}, which lr_policy "
                f'"{solver.lr_policy}" needs; add it'
            )
    if solver.type in WITHOUT_MOMENTUM and solver.momentum:
        raise place.wrong("momentum", solver.momentum, f"0 with type {solver.type}")
    steps = list(solver.stepvalue or ())
    if steps != sorted(steps):
        raise place.wrong("stepvalue", steps, "in ascending order")


def keys_of_file(path: Path) -> dict[str, Any]:
    """The keys of a [solver] table that a solver's prototxt sets.

    Its net, its snapshots' prefix and its device are left out: the study has its own.

    Raises:
        Incomplete, FormatError: there is no such file, or it is no solver.
        BadInput: it sets what a study's networks cannot have; names the field.
    """
    # Imported lazily: most studies name no solver's file, and protobuf takes long to import.
    import numpy as np

    from caffe_transfer.formats.prototxt import read_solver

    solver = read_solver(path)
    keys = keys_of(SolverSettings)
    found: dict[str, Any] = {}
    for field, value in solver.ListFields():
        if field.name in _REPLACED:
            continue
        if field.name not in keys:
            raise BadInput(f"{path} sets {field.name}, which a study cannot; take the line out")
        if field.cpp_type == field.CPPTYPE_FLOAT:
            found[field.name] = float(str(np.float32(value)))  # 0.01, not 0.00999999977648258
            if field.name == "clip_gradients" and value < 0:  # Caffe's default, for none
                del found[field.name]
        elif field.name == "test_iter":
            if len(value) > 1:
                raise BadInput(f"{path} has several test nets; keep one test_iter")
            found[field.name] = value[0]
        else:
            found[field.name] = list(value) if field.name == "stepvalue" else value
    # Caffe's own defaults where a study's differ.
    unset = {"momentum": 0.0, "weight_decay": 0.0, "display": 0, "gamma": 0.0}
    return {**unset, **found}
