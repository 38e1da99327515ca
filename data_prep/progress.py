"""Progress callbacks of long steps: called with the step's name, the count done and the total."""

from collections.abc import Callable

OnStep = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""
