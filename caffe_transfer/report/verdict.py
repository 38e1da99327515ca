"""The verdict on each target task: how far its features transfer, and what to do about it.

For a named split a target is one task, such as halfmineB; random halves repeat one question, so
that all of their tasks have one verdict. Networks are compared within a task and a seed only, by
paired differences; intervals.py says how far chance reaches. A difference is *shown* if its 95 %
interval leaves 0 out; one that is not shown may still be there, as large as the interval allows.
Cuts are judged one by one, without a correction for their number.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any, NamedTuple, TypeAlias

from caffe_transfer.report import repeats
from caffe_transfer.report.groups import RANDOM_HALVES, by_group, cut_names
from caffe_transfer.report.intervals import Estimate, Repeat, Score, accuracy
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Mode, Network

Scores: TypeAlias = Mapping[Repeat, Score]


class Variant(NamedTuple):
    """A kind of network at one cut; its repeats differ in task and seed only."""

    mode: Mode
    n: int = 0
    fine_tuned: bool = False
    preserve: int = 0

    @classmethod
    def of(cls, network: Network) -> "Variant":
        """The variant that a network is a repeat of."""
        return cls(network.mode, network.n, network.fine_tuned, network.preserve)

    @property
    def label(self) -> str:
        """Its kind without the cut: "base", "transfer+", "selffer, 2 layers preserved"."""
        kept = f", {self.preserve} preserved" if self.preserve else ""
        return f"{self.mode}{'+' if self.fine_tuned else ''}{kept}"


_BASE = Variant(Mode.BASE)


@dataclass(frozen=True)
class CutVerdict:
    """What the networks cut at n say; a difference is None where one of its sides is missing.

    Attributes:
        cut: the name of the cut, if known.
        loss: base - transfer, with frozen features.
        co_adaptation: base - selffer; specificity: selffer - transfer; which add up to the loss
            where they come from the same tasks and seeds.
        fine_tuning: transfer+ - transfer.
    """

    n: int
    cut: str | None
    loss: Estimate | None
    co_adaptation: Estimate | None
    specificity: Estimate | None
    fine_tuning: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


@dataclass(frozen=True)
class Contender:
    """A variant of networks trained on the target.

    Attributes:
        cut: the name of its cut, if known.
        networks: the names of its repeats.
        accuracy: their mean.
        behind: the best variant's accuracy minus its own; None for the best itself, and where no
            task and seed has both.
    """

    variant: Variant
    cut: str | None
    networks: tuple[str, ...]
    accuracy: Estimate
    behind: Estimate | None = None

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, and the kind of network."""
        return {"kind": self.variant.label, **asdict(self), "variant": self.variant._asdict()}


@dataclass(frozen=True)
class Verdict:
    """What the networks that were trained on one target say.

    Attributes:
        target: a task, such as halfmineB, or RANDOM_HALVES.
        has_base: whether the target has a base with a result to compare with.
        cuts: one for each n at which a transfer is cut, ascending.
        best: the variant with the highest accuracy, relative to the base where there is one.
        others: the other variants, nearest first.
        unfinished: the names of the networks that are not trained to their end.
    """

    target: str
    has_base: bool
    cuts: tuple[CutVerdict, ...]
    best: Contender
    others: tuple[Contender, ...]
    unfinished: tuple[str, ...] = ()

    @property
    def highest_without_loss(self) -> CutVerdict | None:
        """The highest cut for which, as for all below it, no loss is shown; None if there is none.

        A cut whose loss has no interval ends the search.
        """
        free = list(takewhile(lambda cut: cut.loss and cut.loss.is_positive is False, self.losses))
        return free[-1] if free else None

    @property
    def losses(self) -> tuple[CutVerdict, ...]:
        """The cuts whose loss is known."""
        return tuple(cut for cut in self.cuts if cut.loss)

    @property
    def not_worse(self) -> tuple[Contender, ...]:
        """The other variants that are not shown to be worse than the best."""
        return tuple(
            each for each in self.others if each.behind is None or not each.behind.is_positive
        )

    def as_dict(self) -> dict[str, Any]:
        """The verdict in dictionaries and lists of plain values."""
        free = self.highest_without_loss
        return {
            "target": self.target,
            "has_base": self.has_base,
            "highest_without_loss": free and free.n,
            "cuts": [cut.as_dict() for cut in self.cuts],
            "best": self.best.as_dict(),
            "not_worse": [each.as_dict() for each in self.not_worse],
            "unfinished": list(self.unfinished),
        }


def verdicts(rows: Iterable[Row]) -> tuple[Verdict, ...]:
    """A verdict for each target that has a transfer with an accuracy."""
    rows = list(rows)
    names = cut_names(rows)
    return tuple(_verdict(target, of_target, names) for target, of_target in _targets(rows))


def _targets(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Each target, and the rows of its tasks that a transfer was trained on."""
    for group, of_group in by_group(rows).items():
        tasks: dict[str, list[Row]] = defaultdict(list)
        for row in of_group:
            tasks[row.network.task].append(row)
        targets = {
            task: of_task for task, of_task in tasks.items() if any(map(_transfers, of_task))
        }
        if group == RANDOM_HALVES and targets:
            yield group, [row for of_task in targets.values() for row in of_task]
        elif group != RANDOM_HALVES:
            yield from sorted(targets.items())


def _transfers(row: Row) -> bool:
    return row.network.mode is Mode.TRANSFER and row.score is not None


def _verdict(target: str, rows: list[Row], names: Mapping[int, str]) -> Verdict:
    scores: dict[Variant, dict[Repeat, Score]] = defaultdict(dict)
    networks: dict[Variant, list[str]] = defaultdict(list)
    for row in rows:
        if row.score is not None:
            variant = Variant.of(row.network)
            scores[variant].update(repeats.scores([row]))
            networks[variant].append(row.network.name)
    cuts = sorted({variant.n for variant in scores if variant.mode is Mode.TRANSFER})
    best, *others = _ranked(scores)
    contenders = [
        Contender(
            variant,
            names.get(variant.n),
            tuple(sorted(networks[variant])),
            accuracy(scores[variant]),
            None if variant == best else _difference(scores, best, variant),
        )
        for variant in (best, *others)
    ]
    return Verdict(
        target=target,
        has_base=_BASE in scores,
        cuts=tuple(_cut_verdict(scores, n, names.get(n)) for n in cuts),
        best=contenders[0],
        others=tuple(contenders[1:]),
        unfinished=tuple(sorted(row.network.name for row in rows if row.complete is False)),
    )


def _ranked(scores: Mapping[Variant, Scores]) -> list[Variant]:
    """The variants, best first.

    Relative to the base of the same task and seed, since some variants are there for the easier
    tasks only; those that have no base to be compared with come last.
    """

    def rank(variant: Variant) -> tuple[bool, float]:
        gain = _difference(scores, variant, _BASE)
        return gain is not None, gain.value if gain else accuracy(scores[variant]).value

    return sorted(scores, key=rank, reverse=True)


def _cut_verdict(scores: Mapping[Variant, Scores], n: int, name: str | None) -> CutVerdict:
    selffer, transfer = Variant(Mode.SELFFER, n), Variant(Mode.TRANSFER, n)
    tuned = Variant(Mode.TRANSFER, n, fine_tuned=True)
    return CutVerdict(
        n,
        name,
        loss=_difference(scores, _BASE, transfer),
        co_adaptation=_difference(scores, _BASE, selffer),
        specificity=_difference(scores, selffer, transfer),
        fine_tuning=_difference(scores, tuned, transfer),
    )


def _difference(
    scores: Mapping[Variant, Scores], minuend: Variant, subtrahend: Variant
) -> Estimate | None:
    return repeats.paired_difference(scores.get(minuend, {}), scores.get(subtrahend, {}))
