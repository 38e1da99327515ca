"""What Figure 2 shows, whoever draws it: kinds of networks, drops and boost (paper section 4.1)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

from caffe_transfer.report import decomposition
from caffe_transfer.report.decomposition import Levels, Values
from caffe_transfer.report.groups import by_group
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import NATMAN

Rows: TypeAlias = Sequence[Row]

# Of each kind of networks, an attribute of Levels: the offset of its points beside n.
OFFSETS = {"selffer": -0.22, "selffer_plus": -0.07, "transfer": 0.08, "transfer_plus": 0.24}


def figure2_groups(rows: Rows) -> list[str]:
    """The groups of splits that Figure 2 is drawn of: random halves first, then splits by name.

    Natural and man-made tasks with frozen transfers alone, as the paper has them, are for Figure 3.
    """
    found = []
    for group, of_group in by_group(rows).items():
        level = decomposition.levels(of_group, group)
        more = level.selffer or level.selffer_plus or level.transfer_plus
        if more or (level.transfer and group != NATMAN):
            found.append(group)
    return found


def top1(rows: Rows) -> str:
    """The label of an axis of accuracies; the paper's metric needs no name."""
    return f"Top-1 accuracy{rows[0].metric.note}"


def means_from_base(values: Values, base: float | None) -> dict[int, float]:
    """The mean at each n, and the base as n = 0 if there is one; empty without values."""
    if not values:
        return {}
    start = {} if base is None else {0: base}
    return start | {n: fmean(of_n) for n, of_n in sorted(values.items())}


def label_of(kind: str, level: Levels, plus: str) -> str:
    """The name of a kind of networks, such as "transfer AnB".

    Args:
        kind: one of OFFSETS.
        plus: the sign for fine-tuned networks.
    """
    name, _, tuned = kind.partition("_")
    first = level.letter if name == "selffer" else level.other
    return f"{name} {first}n{level.letter}{plus if tuned else ''}"


@dataclass(frozen=True)
class Shade:
    """An area between two curves, where `upper` lies above `lower`.

    Attributes:
        key: "co-adaptation", "specificity" or "boost".
        upper, lower: heights by n, at the same n.
    """

    key: str
    label: str
    upper: Mapping[int, float]
    lower: Mapping[int, float]


def shades(level: Levels, plus: str) -> Iterator[Shade]:
    """The shades of one group of splits, without those that nowhere lie in the paper's order.

    Args:
        plus: the sign for fine-tuned networks in labels.
    """
    base = level.base_level
    if base is None:
        return
    selffer, transfer, boosted = (
        means_from_base(values, base)
        for values in (level.selffer, level.transfer, level.transfer_plus)
    )
    # Over the base alone, the boost may be due to longer training: its label names the control.
    control = f"{level.letter}n{level.letter}{plus}"
    control = f"control: {control}" if level.selffer_plus else f"no control {control}"
    for key, label, upper, lower in (
        ("co-adaptation", "drop: lost co-adaptation", dict.fromkeys(selffer, base), selffer),
        ("specificity", "drop: representation specificity", selffer, transfer),
        ("boost", f"boost over the base ({control})", boosted, dict.fromkeys(boosted, base)),
    ):
        at = sorted(upper.keys() & lower.keys())
        if any(upper[n] > lower[n] for n in at):
            yield Shade(key, label, {n: upper[n] for n in at}, {n: lower[n] for n in at})
