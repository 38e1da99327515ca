"""The networks of a new study, and which of them are left out first where time is short."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caffe_transfer.nets.cuts import CutSize
from caffe_transfer.new_study.cut_choice import FEWER_CUTS, MOST_CUTS, chosen
from caffe_transfer.new_study.tasks import SPLIT_SEED
from caffe_transfer.studies.groups import GROUPS
from caffe_transfer.studies.network import Mode, Network

GIVEN_SPLIT = "mine"  # of a given base A and the user's images B


@dataclass(frozen=True)
class Layout:
    """Networks over some cuts.

    Attributes:
        cuts: those that n counts.
        all_cuts: whether they are all that the net has.
        tables: the [[networks]] of the study's file: mode, then its keys.
        left_out: what a complete study has besides, in words.
    """

    cuts: tuple[CutSize, ...]
    all_cuts: bool
    tables: tuple[tuple[Mode, Mapping[str, Any]], ...]
    left_out: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[Network, ...]:
        """All networks, in the order of the file."""
        found: list[Network] = []
        for mode, table in self.tables:
            found += GROUPS[mode](**{k: tuple(v) for k, v in table.items()}).networks()
        return tuple(found)

    def frozen_share(self, network: Network) -> float:
        """The share of the net's multiply-adds that lies in a network's frozen layers, 0 to 1."""
        n = network.frozen_count
        return self.cuts[n - 1].multiply_add_share if n else 0.0


def layouts(found: Sequence[CutSize], given_base: bool) -> Iterator[Layout]:
    """The complete study of a net's cuts, then ever smaller ones.

    First the fine-tuned selffers are left out, the control of fine-tuned transfers; then cuts.
    """
    most = len(chosen(found, MOST_CUTS))
    for count, controls in (
        (most, True),
        (most, False),
        *((fewer, False) for fewer in FEWER_CUTS if fewer < most),
    ):
        cuts = chosen(found, count)
        left_out = [] if controls else ["the fine-tuned selffers"]
        if count < most:
            left_out.append(f"{most - count} of {most} cuts")
        yield Layout(
            cuts,
            len(cuts) == len(found),
            tuple(_tables(list(range(1, len(cuts) + 1)), given_base, controls)),
            tuple(left_out),
        )


def _tables(
    n: list[int], given_base: bool, controls: bool
) -> Iterator[tuple[Mode, Mapping[str, Any]]]:
    splits = [GIVEN_SPLIT if given_base else str(SPLIT_SEED)]
    yield Mode.BASE, {"splits": splits, **({"targets": ["B"]} if given_base else {})}
    yield (
        Mode.SELFFER,
        {
            "splits": splits,
            "targets": ["B"],
            "n": n,
            "fine_tune": [False, True] if controls else [False],
        },
    )
    yield (
        Mode.TRANSFER,
        {"splits": splits, "pairs": ["AB"], "n": n, "fine_tune": [False, True]},
    )
