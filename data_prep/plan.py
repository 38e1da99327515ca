"""Which data sets are made from images, and which are taken from the database of another.

Every image is decoded once: a set whose images another one has too is taken from that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from caffe_transfer.data_prep.splits import PARTS, whole_of
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study


@dataclass(frozen=True)
class Plan:
    """How the data sets of one part are made.

    Attributes:
        converted: the names of those that are made from images.
        base: the one that the others are taken from; None if none are.
        taken: the names of the others.
    """

    converted: tuple[str, ...]
    base: str | None
    taken: tuple[str, ...]


def data_sets(study: Study) -> Mapping[str, Network]:
    """The names of the data sets that the study's networks read, each with a network of it."""
    return {
        name: each for each in study.networks for name in (each.train_data, each.valid_data)
    }  # fmt: skip


def part_of(name: str) -> str:
    """ "train" or "valid"."""
    return name.rsplit("_", 1)[1]


def plans(study: Study, there: Collection[str] = ()) -> Iterator[Plan]:
    """How the study's data sets are made, part by part.

    Args:
        there: those that are made.
    """
    sets = data_sets(study)
    for part in PARTS:
        missing = {
            name: each for name, each in sets.items() if part_of(name) == part and name not in there
        }
        if missing:
            yield _plan(study, missing, whole_of(part), whole_of(part) in there)


def _plan(study: Study, missing: Mapping[str, Network], whole: str, is_made: bool) -> Plan:
    names = tuple(missing)
    if is_made:
        return Plan((), whole, names)
    if whole not in missing:
        if len(missing) == 1 or _are_apart(study, list(missing.values())):
            return Plan(names, None, ())
        counts = {name: each.per_class for name, each in missing.items()}
        if all(counts.values()):
            largest = max(names, key=lambda name: counts[name] or 0)
            return _taken_from(largest, names)
    return _taken_from(whole, names)


def _taken_from(base: str, names: Sequence[str]) -> Plan:
    taken = tuple(name for name in names if name != base)
    return Plan((base,), base if taken else None, taken)


def _are_apart(study: Study, networks: Sequence[Network]) -> bool:
    """Whether data sets have no image in common: they are the two halves of one split."""
    splits = {network.split for network in networks}
    key = next(iter(splits))
    if len(splits) > 1 or key is None:
        return False
    custom = study.custom_splits.get(key)
    return custom is None or not custom.may_overlap
