"""Boost 1.74's normal distribution, draw for draw: Marsaglia and Tsang's ziggurat.

The area under the density is cut into strips of equal area.  A 32-bit draw chooses a strip, a sign
and a position in it.  Nearly always the position lies under the curve at any height of the strip,
and is accepted.  Otherwise a second draw decides, or several in the tail.

Everything is float32, as in Caffe<float>, and compared in Boost's precision.
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Draws = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]

# More draws than a number in the tail ever needs.
LOOKAHEAD = 1024
_TWO_24 = np.float32(2**-24)
_TWO_32 = np.float32(2**-32)


class Table(NamedTuple):
    """Corners of the strips: x falls from the base's width to 0, y rises from 0 to 1."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]


class Normals(NamedTuple):
    """Normal numbers, and the number of draws that they consumed."""

    values: Floats
    used: int


def _table(
    strips: int,
    base: str,
    tail: str,
    density: Callable[[Decimal], Decimal],
    inverse: Callable[[Decimal], Decimal],
) -> Table:
    """Corners of strips of the area base * density(tail); the tail begins at `tail`."""
    with localcontext() as context:
        context.prec = 40
        x = [Decimal(base), Decimal(tail)]
        y = [Decimal(0), density(x[1])]
        size = x[0] * y[1]
        while len(x) < strips:
            y.append(y[-1] + size / x[-1])
            x.append(inverse(y[-1]))
        return Table(np.array([*map(float, x), 0.0]), np.array([*map(float, y), 1.0]))


_NORMAL = _table(
    128, "3.7130862467403632609", "3.4426198558966521214",
    lambda x: (-x * x / 2).exp(), lambda y: (-2 * y.ln()).sqrt(),
)  # fmt: skip
_EXPONENTIAL = _table(
    256, "8.6971174701310497140", "7.6971174701310497140",
    lambda x: (-x).exp(), lambda y: -y.ln(),
)  # fmt: skip


def normals(draws: Draws, count: int) -> Normals:
    """Up to `count` standard normal numbers from a stream of 32-bit draws.

    Args:
        draws: the stream; no number begins in the last LOOKAHEAD of them.
    """
    usable = len(draws) - LOOKAHEAD
    strip, sign, place = _split(draws[:usable])
    x = place * _NORMAL.x.astype(np.float32)[strip]
    values, kept = x * sign, x < _NORMAL.x[strip + 1]
    undecided = np.flatnonzero(~kept)
    second = draws[undecided + 1].astype(np.float32) * _TWO_32
    kept[undecided] = _under_curve(strip[undecided], x[undecided], second)
    rare = (strip[undecided] == 0) | (second >= 1)
    after = _decide(draws, undecided, rare, values, kept)
    found = np.flatnonzero(kept)[:count]
    if len(found) == count:
        last = int(found[-1])
        return Normals(values[found], after.get(last, last + 1))
    return Normals(values[found], max(usable, *after.values(), 0))


def _decide(
    draws: Draws, undecided: npt.NDArray[np.int64], rare: npt.NDArray[np.bool_],
    values: Floats, kept: npt.NDArray[np.bool_],
) -> dict[int, int]:  # fmt: skip
    """Decide the undecided draws, and drop those consumed in doing so.

    Sequential, as whether a draw begins a number depends on those before it.

    Returns:
        for each undecided draw, the index at which the stream continues.
    """
    after: dict[int, int] = {}
    free = 0
    for at, is_rare in zip(undecided.tolist(), rare.tolist(), strict=True):
        if at < free:
            continue  # consumed by the one before
        if is_rare:
            value, free = _one(draws, at)
            kept[at] = value is not None
            values[at] = value or 0
        else:
            free = at + 2
        kept[at + 1 : free] = False
        after[at] = free
    return after


def _one(draws: Draws, at: int) -> tuple[np.float32 | None, int]:
    """The number that begins at a draw, None if rejected, and where the stream continues."""
    strip, sign, place = (part[0] for part in _split(draws[at : at + 1]))
    at += 1
    if strip == 0:
        x, at = _tail(draws, at)
        return x * sign, at
    second, at = _uniform(draws, at)
    x = place * np.float32(_NORMAL.x[strip])
    parts = (np.array([part]) for part in (strip, x, second))
    return (x * sign if _under_curve(*parts)[0] else None), at


def _split(draws: Draws) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """The strip 0..127, the sign and the position in [0, 1) of each draw."""
    low = draws & np.uint32(255)
    sign = (low & 1).astype(np.float32) * 2 - 1
    place = (draws >> np.uint32(8)).astype(np.float32) * _TWO_24
    return (low >> np.uint32(1)).astype(np.int64), sign, place


def _under_curve(strip: npt.NDArray[np.int64], x: Floats, second: Floats) -> npt.NDArray[np.bool_]:
    """Whether a second draw, taken as the height in the strip, lies under exp(-x^2/2).

    The curve lies between the strip's diagonal and its tangent; its convexity says which is above.
    """
    left, right = _NORMAL.x[strip], _NORMAL.x[strip + 1]
    low, step = _NORMAL.y[strip], _NORMAL.y[strip + 1] - _NORMAL.y[strip]
    narrow, height = left.astype(np.float32), low.astype(np.float32)
    y = height + second * step.astype(np.float32)
    over_diagonal = (left - right).astype(np.float32) * second - (narrow - x)
    over_tangent = y - (height + (narrow - x) * height * narrow)
    convex = left >= 1
    over_upper = np.where(convex, over_diagonal, over_tangent)
    over_lower = np.where(convex, over_tangent, over_diagonal)
    under = y < _exp(-(x * x / np.float32(2)))
    return np.asarray((over_upper < 0) & ((over_lower < 0) | under), np.bool_)


def _exp(x: npt.ArrayLike) -> Floats:
    """exp, correctly rounded to float32; the C library's expf nearly always is, numpy's is not."""
    return np.exp(np.asarray(x, np.float64)).astype(np.float32)


def _tail(draws: Draws, at: int) -> tuple[np.float32, int]:
    """A number in the tail, from exponential ones."""
    start = np.float32(_NORMAL.x[1])
    while True:
        x, at = _exponential(draws, at)
        x = x / start
        y, at = _exponential(draws, at)
        if 2 * y > x * x:
            return x + start, at


def _exponential(draws: Draws, at: int) -> tuple[np.float32, int]:
    """An exponential number, by its own ziggurat."""
    shift = np.float32(0)
    while True:
        strip = int(draws[at]) & 255
        left, right = (np.float32(_EXPONENTIAL.x[strip + side]) for side in (0, 1))
        x = np.float32(draws[at] >> np.uint32(8)) * _TWO_24 * left
        at += 1
        if x < right:
            return shift + x, at
        if strip == 0:  # the tail of an exponential is an exponential
            shift += np.float32(_EXPONENTIAL.x[1])
            continue
        second, at = _uniform(draws, at)
        low, high = _EXPONENTIAL.y[strip], _EXPONENTIAL.y[strip + 1]
        y = np.float32(low) + second * np.float32(high - low)
        width = np.float32(_EXPONENTIAL.x[strip] - _EXPONENTIAL.x[strip + 1])
        over_upper = width * second - (left - x)
        over_lower = y - (np.float32(high) + (right - x) * np.float32(high))
        if over_upper < 0 and (over_lower < 0 or y < _exp(-x)):
            return x + shift, at


def _uniform(draws: Draws, at: int) -> tuple[np.float32, int]:
    """uniform_01<float>: draws that round to 1 are repeated."""
    while True:
        value = np.float32(draws[at]) * _TWO_32
        at += 1
        if value < 1:
            return value, at
