"""How long steps tell what they have done: a call with the step, the count and the total."""

from collections.abc import Callable

OnStep = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""
