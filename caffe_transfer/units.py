"""Times, sizes and shapes as people read and write them."""

import math
import re
from collections.abc import Iterable

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgt]b)", re.IGNORECASE)


def duration(seconds: float) -> str:
    """Format a duration for reading: 42 s, 11 min, 3.5 h, 9.5 days."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.{0 if unit == 'min' else 1}f} {unit}"
    return f"{seconds:.0f} s"


def size(count: int | None) -> str:
    """Format a number of bytes for reading: 233.0 MB."""
    if count is None:
        return "unknown"
    unit, length = _unit(count)
    return f"{count / length:.1f} {unit}"


def size_above(count: int) -> str:
    """Format a number of bytes as the next larger that `size` writes: enough for so many."""
    unit, length = _unit(count)
    tenths = math.ceil(count / length * 10)
    return f"{tenths // 10}.{tenths % 10} {unit}"


def bytes_in(text: str) -> int:
    """The bytes of a size as people write it: 800GB, 1.5 TB.

    Raises:
        ValueError: it is none; says what sizes look like.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; sizes are like 800GB, 1.5TB or 500 MB")
    lengths = {unit.lower(): length for unit, length in _UNITS}
    return round(float(match[1]) * lengths[match[2].lower()])


def shape_text(shape: Iterable[int | None], scalar: str = "scalar") -> str:
    """Format a shape for reading: 3x227x227, with ? for an axis that is not known.

    Args:
        scalar: what to call a shape without axes.
    """
    return "x".join("?" if axis is None else str(axis) for axis in shape) or scalar


def _unit(count: int) -> tuple[str, float]:
    return next((each for each in _UNITS if count >= each[1]), _UNITS[-1])
