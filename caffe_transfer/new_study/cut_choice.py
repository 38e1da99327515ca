"""Which of a net's cuts a new study asks about."""

from collections.abc import Sequence

from caffe_transfer.nets.cuts import CutSize

MOST_CUTS = 7  # as the paper has
FEWER_CUTS = (5, 3, 2)  # where time is short


def chosen(found: Sequence[CutSize], count: int) -> tuple[CutSize, ...]:
    """The lowest cut, the highest, and those between that divide the net most evenly.

    A cut's height in the net is the mean of its shares of the parameters and of the
    multiply-adds: the former lie in the upper layers, the latter in the lower ones.
    """
    heights = [(each.parameter_share + each.multiply_add_share) / 2 for each in found]
    return tuple(found[index] for index in spread(heights, count))


def spread(positions: Sequence[float], count: int) -> list[int]:
    """Indices of `count` of the ascending positions: first, last and those nearest to even steps.

    All of them where there are no more; the last one alone for a count of 1.
    """
    if len(positions) <= count:
        return list(range(len(positions)))
    if count == 1:
        return [len(positions) - 1]
    step = (positions[-1] - positions[0]) / (count - 1)
    found = [0]
    for number in range(1, count - 1):
        wanted = positions[0] + number * step
        free = range(found[-1] + 1, len(positions) - (count - 1 - number))
        distances = [abs(positions[at] - wanted) for at in free]
        found.append(free[distances.index(min(distances))])
    return [*found, len(positions) - 1]
