"""Networks as repeats of each other, by task, seed and cut: their levels and paired differences.

Two kinds of networks are compared within a task and a seed: they share the target, the split and,
where both copy, what can be copied; so the difficulty of a task cancels out. Over a range of cuts
the cuts of a task and seed are averaged first, those that both kinds have: they are tested on the
same images, so that their mean stands on no more images than one of them does.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from caffe_transfer.report import intervals
from caffe_transfer.report.intervals import Estimate, Repeat, Score
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Mode

# Scores by task and seed, then by n. A base, whose n is 0, stands for itself at every cut.
Repeats: TypeAlias = Mapping[Repeat, Mapping[int, Score]]


def of_kind(
    rows: Iterable[Row], mode: Mode, fine_tuned: bool = False, preserve: int = 0
) -> Iterator[Row]:
    """The scored networks of one kind, at whatever cut."""
    for row in rows:
        network = row.network
        kind = network.mode, network.fine_tuned, network.preserve
        if row.score is not None and kind == (mode, fine_tuned, preserve):
            yield row


def scores(rows: Iterable[Row]) -> dict[Repeat, Score]:
    """The scores of networks that repeat each other."""
    return {row.repeat: Score(row.score, row.valid_images) for row in rows if row.score is not None}


def repeats(
    rows: Iterable[Row], mode: Mode, fine_tuned: bool = False, preserve: int = 0
) -> Repeats:
    """The scored networks of one kind, by task and seed, then by cut."""
    found: dict[Repeat, dict[int, Score]] = defaultdict(dict)
    for row in of_kind(rows, mode, fine_tuned, preserve):
        for repeat, score in scores([row]).items():
            found[repeat][row.network.n] = score
    return found


def mean_level(found: Repeats, cuts: Sequence[int], random_tasks: bool = True) -> Estimate | None:
    """The mean accuracy of one kind at some cuts; None without a network there.

    Args:
        random_tasks: whether the tasks are drawn by chance, as random halves are; see intervals.py.
    """
    means = {
        repeat: mean for repeat, by_n in found.items() if (mean := _mean(_at(by_n, cuts).values()))
    }
    return intervals.accuracy(means, random_tasks) if means else None


def mean_difference(
    first: Repeats, second: Repeats, cuts: Sequence[int], random_tasks: bool = True
) -> Estimate | None:
    """The mean of the paired differences at some cuts; None if no task and seed has both kinds."""
    ones: dict[Repeat, Score] = {}
    others: dict[Repeat, Score] = {}
    for repeat in first.keys() & second.keys():
        one, other = _at(first[repeat], cuts), _at(second[repeat], cuts)
        common = sorted(one.keys() & other.keys())
        mean, mean_of_other = _mean(one[n] for n in common), _mean(other[n] for n in common)
        if mean and mean_of_other:
            ones[repeat], others[repeat] = mean, mean_of_other
    return paired_difference(ones, others, random_tasks)


def paired_difference(
    first: Mapping[Repeat, Score], second: Mapping[Repeat, Score], random_tasks: bool = True
) -> Estimate | None:
    """The mean difference over the tasks and seeds that both have; None if none has both."""
    # Sorted, since a sum of floats depends on its order.
    pairs = {
        repeat: (first[repeat], second[repeat]) for repeat in sorted(first.keys() & second.keys())
    }
    return intervals.difference(pairs, random_tasks) if pairs else None


def _at(by_n: Mapping[int, Score], cuts: Sequence[int]) -> dict[int, Score]:
    """The scores at the cuts; that of a base at each of them."""
    if 0 in by_n:
        return dict.fromkeys(cuts, by_n[0])
    return {n: by_n[n] for n in cuts if n in by_n}


def _mean(scores: Iterable[Score]) -> Score | None:
    scores = list(scores)
    if not scores:
        return None
    images = intervals.least(score.images for score in scores)
    return Score(fmean(score.top1 for score in scores), images)
