"""Groups of splits that are shown together, and the names of the cuts on their common axis.

Random halves are repeats of one question and are pooled; natman and each custom split, whose two
tasks were chosen, stand alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import NATMAN, Network

RANDOM_HALVES = "random halves"  # no name of a split, which has letters only


def is_random(network: Network) -> bool:
    """Whether a network belongs to a split into random halves."""
    return network.split is not None and network.split.isdigit()


def group_of(network: Network) -> str | None:
    """The group of a network: RANDOM_HALVES or its split's name; None if it has all classes."""
    return RANDOM_HALVES if is_random(network) else network.split


def by_group(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each group, the random halves first, then the named splits by name."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        group = group_of(row.network)
        if group is not None:
            found[group].append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0] != RANDOM_HALVES, item[0])))


def title(group: str) -> str:
    """The heading of a group."""
    headings = {RANDOM_HALVES: "Random halves", NATMAN: "Man-made/natural split"}
    return headings.get(group, f"Split {group}")


def cut_names(rows: Iterable[Row]) -> Mapping[int, str]:
    """The name of the cut at each n; left out where none is known, or networks disagree."""
    found: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        if row.network.n and row.cut is not None:
            found[row.network.n].add(row.cut)
    return {n: names.pop() for n, names in sorted(found.items()) if len(names) == 1}
