"""Times and sizes as people read them."""


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
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
