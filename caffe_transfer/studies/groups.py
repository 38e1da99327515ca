"""Groups of networks: the [[networks]] tables of a study's file, whose lists are multiplied out."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Protocol

from caffe_transfer.studies.network import DEFAULT_SEED, Mode, Network
from caffe_transfer.studies.schema import Flag, ListOf, OneOf, SplitName, Whole

Splits = Annotated[tuple[str, ...], ListOf(SplitName()), "splits, each a seed or a name"]
Targets = Annotated[tuple[str, ...], ListOf(OneOf(("A", "B"))), "halves to train on"]
Pairs = Annotated[tuple[str, ...], ListOf(OneOf(("AB", "BA"))), "base and target"]
Cuts = Annotated[
    tuple[int, ...], ListOf(Whole(1)), "cuts, by number or name: what lies below is kept"
]
FineTune = Annotated[tuple[bool, ...], ListOf(Flag()), "false: frozen; true: trained further"]
Preserve = Annotated[
    tuple[int, ...], ListOf(Whole()), "layers above n that are copied too, and trained further"
]
Seeds = Annotated[tuple[int, ...], ListOf(Whole(1)), "repeats, which differ in the random seed"]
PerClass = Annotated[tuple[int, ...], ListOf(Whole(1)), "training images of each class"]
ONE_SEED = (DEFAULT_SEED,)


class Group(Protocol):
    """Networks of one mode."""

    def networks(self) -> Iterator[Network]:
        """The networks, in order.

        Raises:
            BadInput: a combination is not a network.
        """


@dataclass(frozen=True)
class Bases:
    """Networks that start from random weights, on one half or on all classes."""

    whole: Annotated[bool, Flag(), "a base on all classes"] = False
    splits: Splits = ()
    targets: Targets = ("A", "B")
    seeds: Seeds = ONE_SEED

    def networks(self) -> Iterator[Network]:
        for seed in self.seeds:
            if self.whole:
                yield Network(mode=Mode.BASE, seed=seed)
            for split, target in itertools.product(self.splits, self.targets):
                yield Network(mode=Mode.BASE, target=target, split=split, seed=seed)


@dataclass(frozen=True)
class Selffers:
    """Networks that are cut from a base and trained on the base's own half."""

    splits: Splits
    targets: Targets
    n: Cuts
    fine_tune: FineTune = (False,)
    preserve: Preserve = (0,)
    seeds: Seeds = ONE_SEED

    def networks(self) -> Iterator[Network]:
        pairs = tuple(target + target for target in self.targets)
        return _copied(Mode.SELFFER, self, pairs)


@dataclass(frozen=True)
class Transfers:
    """Networks that are cut from a base and trained on the other half."""

    splits: Splits
    pairs: Pairs
    n: Cuts
    fine_tune: FineTune = (False,)
    preserve: Preserve = (0,)
    seeds: Seeds = ONE_SEED

    def networks(self) -> Iterator[Network]:
        return _copied(Mode.TRANSFER, self, self.pairs)


@dataclass(frozen=True)
class RandomFilters:
    """Networks whose first layers stay as they are drawn, on all classes."""

    n: Cuts
    seeds: Seeds = ONE_SEED

    def networks(self) -> Iterator[Network]:
        for seed, n in itertools.product(self.seeds, self.n):
            yield Network(mode=Mode.RANDOM, n=n, seed=seed)


@dataclass(frozen=True)
class ReducedBases:
    """Bases on the first images of each class."""

    per_class: PerClass
    seeds: Seeds = ONE_SEED

    def networks(self) -> Iterator[Network]:
        for seed, per_class in itertools.product(self.seeds, self.per_class):
            yield Network(mode=Mode.REDUCED, per_class=per_class, seed=seed)


GROUPS: dict[Mode, type[Group]] = {
    Mode.BASE: Bases,
    Mode.SELFFER: Selffers,
    Mode.TRANSFER: Transfers,
    Mode.RANDOM: RandomFilters,
    Mode.REDUCED: ReducedBases,
}


def _copied(mode: Mode, group: Selffers | Transfers, pairs: tuple[str, ...]) -> Iterator[Network]:
    for seed, split, pair, fine_tuned, preserve, n in itertools.product(
        group.seeds, group.splits, pairs, group.fine_tune, group.preserve, group.n
    ):
        yield Network(
            mode=mode, base=pair[0], target=pair[1], split=split, n=n, fine_tuned=fine_tuned,
            preserve=preserve, seed=seed,
        )  # fmt: skip
