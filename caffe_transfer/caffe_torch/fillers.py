"""Initial parameters, bit for bit those of Caffe's fillers (caffe/filler.hpp)."""

import math
from collections.abc import Callable

import numpy as np

from caffe_transfer.caffe_torch.rng import LARGEST_FLOAT, Floats, Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.units import shape_text

Shape = tuple[int, ...]


def fill(filler: pb.FillerParameter, shape: Shape, rng: Rng, layer: str) -> Floats:
    """Draw a blob, float32.

    Args:
        layer: named in errors.

    Raises:
        BadInput: the filler is unknown, or cannot fill such a shape.
    """
    if filler.type not in _FILLERS:
        raise BadInput(
            f"layer {layer!r} has the unknown filler {filler.type!r}; the fillers are "
            f"{', '.join(sorted(_FILLERS))}"
        )
    if need := _unmet(filler, shape):
        raise BadInput(f"layer {layer!r}: the {filler.type} filler needs {need}")
    return _FILLERS[filler.type](filler, shape, rng).reshape(shape)


def _unmet(filler: pb.FillerParameter, shape: Shape) -> str | None:
    """What a filler needs and does not have, as Caffe checks it; None if it has all."""
    if not math.prod(shape):
        return f"a blob of numbers to fill, not one of shape {shape_text(shape)}"
    match filler.type:
        case "bilinear" if len(shape) != 4 or shape[2] != shape[3]:
            return f"square filters, not {shape}"
        # Caffe takes an infinite range, too, and draws numbers that are none.
        case "uniform" if not 0 <= filler.max - filler.min <= LARGEST_FLOAT:
            return f"finite numbers min <= max, not {filler.min:g} and {filler.max:g}"
        case "gaussian" if not filler.std > 0:
            return f"a std above 0, not {filler.std:g}"
        case "gaussian" if not -1 <= filler.sparse <= shape[0]:
            return f"a sparse of -1 to {shape[0]}, the number of outputs, not {filler.sparse}"
        case _:
            return None


def _constant(filler: pb.FillerParameter, shape: Shape, _rng: Rng) -> Floats:
    return np.full(shape, filler.value, np.float32)


def _uniform(filler: pb.FillerParameter, shape: Shape, rng: Rng) -> Floats:
    return rng.uniform(math.prod(shape), filler.min, filler.max)


def _gaussian(filler: pb.FillerParameter, shape: Shape, rng: Rng) -> Floats:
    count = math.prod(shape)
    values = rng.gaussian(count, filler.mean, filler.std)
    if filler.sparse < 0:
        return values
    # `sparse` is the mean number of non-zero inputs of an output.
    return values * rng.bernoulli(count, float(np.float32(filler.sparse) / np.float32(shape[0])))


def _unit_ball(_filler: pb.FillerParameter, shape: Shape, rng: Rng) -> Floats:
    values = rng.uniform(math.prod(shape), 0, 1).reshape(shape[0], -1)
    # In sequence, as Caffe's loop adds them; numpy's sum adds pairwise.
    return values / np.cumsum(values, axis=1, dtype=np.float32)[:, -1:]


def _xavier(filler: pb.FillerParameter, shape: Shape, rng: Rng) -> Floats:
    scale = np.sqrt(np.float32(3) / _fan(filler, shape))
    return rng.uniform(math.prod(shape), float(-scale), float(scale))


def _msra(filler: pb.FillerParameter, shape: Shape, rng: Rng) -> Floats:
    return rng.gaussian(math.prod(shape), 0, float(np.sqrt(np.float32(2) / _fan(filler, shape))))


def _fan(filler: pb.FillerParameter, shape: Shape) -> np.float32:
    fan_in = math.prod(shape[1:])
    fan_out = math.prod(shape) // shape[1] if len(shape) > 1 else math.prod(shape)
    if filler.variance_norm == pb.FillerParameter.AVERAGE:
        return np.float32(fan_in + fan_out) / np.float32(2)
    return np.float32(fan_out if filler.variance_norm == pb.FillerParameter.FAN_OUT else fan_in)


def _bilinear(_filler: pb.FillerParameter, shape: Shape, _rng: Rng) -> Floats:
    half = math.ceil(shape[3] / 2)
    centre = (shape[3] - 1) / (2 * half)
    ramp = 1 - np.abs(np.arange(shape[3], dtype=np.float32) / half - np.float32(centre))
    return np.broadcast_to(np.outer(ramp, ramp), shape).astype(np.float32)


_FILLERS: dict[str, Callable[[pb.FillerParameter, Shape, Rng], Floats]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _unit_ball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
}
