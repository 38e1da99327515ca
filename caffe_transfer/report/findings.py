"""The paper's findings, one by one, and what a study's own numbers say about each (its section 4).

A finding is *seen here* if 95 % intervals show it, *not seen here* if they exclude it: they show
the opposite, or bound the effect below MARGIN. Otherwise it is *within noise*, or *not tested*
where the study lacks networks for it. Cuts are judged one by one, without a correction for their
number; where a finding is about a range of cuts, its mean is judged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from caffe_transfer.report import decomposition
from caffe_transfer.report.decomposition import Levels
from caffe_transfer.report.groups import by_group
from caffe_transfer.report.intervals import Estimate
from caffe_transfer.report.repeats import Repeats, mean_difference, repeats
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict_text import counted, number, percentage, ranges
from caffe_transfer.studies.network import Mode

MARGIN = 0.01  # of accuracy: a difference that is shown to be smaller counts as none


class Status(StrEnum):
    """What the intervals say about a finding."""

    SEEN = "seen here"
    NOT_SEEN = "not seen here"
    NOISE = "within noise"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Finding:
    """One finding of the paper, and what a study says about it.

    Attributes:
        key: "1" to "5" as the paper numbers its curves, "4 causes", or "random filters".
        claim: what the paper found.
        sentence: the numbers behind the status.
        estimates: by n the difference that the finding is about.
    """

    key: str
    claim: str
    status: Status
    sentence: str
    estimates: Mapping[int, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """The attributes in plain values."""
        return {
            "key": self.key,
            "claim": self.claim,
            "status": self.status.value,
            "sentence": self.sentence,
            "estimates": {n: each.as_dict() for n, each in self.estimates.items()},
        }


@dataclass(frozen=True)
class Findings:
    """The findings on one group of splits.

    Attributes:
        group: groups.RANDOM_HALVES, or the name of a split.
    """

    group: str
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """The attributes in plain values."""
        return {"group": self.group, "findings": [each.as_dict() for each in self.findings]}


def findings(rows: Sequence[Row]) -> tuple[Findings, ...]:
    """What the networks of each group of splits that has cut networks say."""
    found = []
    for group, of_group in by_group(rows).items():
        if level := decomposition.levels(of_group, group):
            of_level = (find(level) for find in _FINDINGS)
            found.append(Findings(group, (*of_level, _random_filters(rows, level))))
    return tuple(found)


def _base(level: Levels) -> Finding:
    claim = "1, base: the level that the others are compared with."
    base = level.level("base", [0])
    if base is None:
        return Finding("1", claim, Status.NOT_TESTED, "No base of these tasks has a result.", {})
    text = f"The base reaches {number(base)} %, over {counted(len(level.base), 'network')}."
    return Finding("1", claim, Status.SEEN, text, {0: base})


def _co_adaptation(level: Levels) -> Finding:
    claim = (
        "2, BnB: with its own layers frozen, a network loses accuracy at the middle cuts: "
        "co-adaptation is lost."
    )
    estimates = _by_cut(level, "co_adaptation")
    if not estimates:
        return _not_tested("2", claim, "base and selffer")
    drops, gains = _shown(estimates)
    first, last = min(estimates), max(estimates)
    middle = [n for n in drops if first < n < last]
    text = _told("base - selffer", estimates, "a drop", drops, "a gain", gains)
    if middle:
        status = Status.SEEN
        at_ends = [n for n in drops if n in (first, last)]
        if at_ends:
            text += f" It drops at an end of the cuts too, n = {ranges(at_ends)}."
    elif all(_is_below_margin(estimates[n]) for n in estimates if first < n < last):
        status = Status.NOT_SEEN if len(estimates) > 2 else Status.NOISE
    else:
        status = Status.NOISE
    return Finding("2", claim, status, text, estimates)


def _recovery(level: Levels) -> Finding:
    claim = "3, BnB+: fine-tuning brings back the level of the base (the control of 5)."
    estimates = _by_cut(level, "selffer_plus", "base")
    overall = level.difference("selffer_plus", "base", sorted(level.selffer_plus))
    if overall is None or not estimates:
        return _not_tested("3", claim, "base and selffer+")
    text = f"Selffer+ - base is {number(overall)} points over {_cuts(estimates)}"
    margin = percentage(MARGIN)
    if overall.low is None or overall.high is None:
        status, text = Status.NOISE, f"{text}, without an interval."
    elif overall.is_positive or overall.is_negative:
        status = Status.NOT_SEEN
        text += f": shown to be {'above' if overall.is_positive else 'below'} the base."
    elif max(-overall.low, overall.high) <= MARGIN:
        status, text = Status.SEEN, f"{text}: the same within {margin}."
    else:
        status, text = Status.NOISE, f"{text}: no difference is shown, nor one within {margin}."
    return Finding("3", claim, status, text, estimates)


def _transfer(level: Levels) -> Finding:
    claim = "4, AnB: frozen features of the other task lose accuracy, the more the higher the cut."
    losses = _by_cut(level, "base", "transfer")
    if not losses:
        return _not_tested("4", claim, "base and transfer")
    drops, gains = _shown(losses)
    text = _told("base - transfer", losses, "a loss", drops, "a gain", gains)
    first, last = min(losses), max(losses)
    growth = _growth(level, first, last)
    if growth is not None:
        text += f" From n = {first} to n = {last} it grows by {number(growth)} points."
    if drops and growth is not None and growth.is_positive:
        status = Status.SEEN
    elif all(map(_is_below_margin, losses.values())) or (growth is not None and growth.is_negative):
        status = Status.NOT_SEEN
    else:
        status = Status.NOISE
    return Finding("4", claim, status, text, losses)


def _growth(level: Levels, first: int, last: int) -> Estimate | None:
    """The loss at the highest cut minus that at the lowest: transfers of one task and seed."""
    transfer = level.repeats["transfer"]

    def at(n: int) -> Repeats:
        return {repeat: {0: by_n[n]} for repeat, by_n in transfer.items() if n in by_n}

    if first == last:
        return None
    return mean_difference(at(first), at(last), [0], level.random_tasks)


def _causes(level: Levels) -> Finding:
    claim = (
        "4, causes: the loss of AnB is lost co-adaptation at the middle cuts, and specificity at "
        "the highest."
    )
    lost, specific = _by_cut(level, "co_adaptation"), _by_cut(level, "specificity")
    if not lost or not specific:
        return _not_tested("4 causes", claim, "base, selffer and transfer")
    of_lost, of_specific = _shown(lost)[0], _shown(specific)[0]
    both = (("lost co-adaptation", of_lost, lost), ("specificity", of_specific, specific))
    parts = [
        f"{name} at {len(cuts)} of {_cuts(of)}" + (f" (n = {ranges(cuts)})" if cuts else "")
        for name, cuts, of in both
    ]
    largest = max(specific, key=lambda n: specific[n].value)
    text = (
        f"Shown: {', '.join(parts)}; specificity is largest at n = {largest}: "
        f"{number(specific[largest])} points."
    )
    status = Status.NOISE
    if of_lost and of_specific:
        status = Status.SEEN if min(of_lost) <= min(of_specific) else Status.NOT_SEEN
    elif any(all(map(_is_below_margin, of.values())) for of in (lost, specific)):
        status = Status.NOT_SEEN
    return Finding("4 causes", claim, status, text, specific)


def _boost(level: Levels) -> Finding:
    claim = "5, AnB+: fine-tuned transfer exceeds the base, and the control BnB+ as well."
    over_base, cuts = _by_cut(level, "boost"), sorted(level.transfer_plus)
    base = level.difference("transfer_plus", "base", cuts)
    control = level.difference("transfer_plus", "selffer_plus", cuts)
    if base is None:
        return _not_tested("5", claim, "base and transfer+")
    text = f"Transfer+ - base is {number(base)} points over {_cuts(over_base)}"
    if control is None:
        text += "; no selffer+ of the same task tells whether longer training does the same."
        opposed = base.is_negative or _is_below_margin(base)
        status = Status.NOT_SEEN if opposed else Status.NOT_TESTED
        return Finding("5", claim, status, text, over_base)
    at = _by_cut(level, "boost_over_selffer")
    higher = [n for n, each in at.items() if each.is_positive]
    lower = [n for n, each in at.items() if each.is_negative]
    text += (
        f", transfer+ - selffer+ {number(control)}; of {_cuts(at)} the latter is shown above 0 at "
        f"{len(higher)}, below at {len(lower)}."
    )
    both = (base, control)
    if all(each.is_positive for each in both):
        status = Status.SEEN
    elif any(each.is_negative or _is_below_margin(each) for each in both):
        status = Status.NOT_SEEN
    else:
        status = Status.NOISE
    return Finding("5", claim, status, text, over_base)


def _random_filters(rows: Sequence[Row], level: Levels) -> Finding:
    claim = "Random filters: accuracy falls off with n faster than with transferred ones."
    whole = [row for row in rows if row.network.split is None]
    random, base = repeats(whole, Mode.RANDOM), repeats(whole, Mode.BASE)
    cuts = {n for by_n in random.values() for n in by_n}
    estimates = _known((n, mean_difference(base, random, [n])) for n in sorted(cuts))
    transfers = _by_cut(level, "base", "transfer")
    common = [n for n in estimates if n in transfers]
    if not common:
        return _not_tested("random filters", claim, "networks with random and transferred filters")
    # They are of other tasks, and so of intervals that do not overlap, where no pairs exist.
    more = [n for n in common if _above(estimates[n], transfers[n])]
    less = [n for n in common if _above(transfers[n], estimates[n])]
    text = (
        f"Random filters lose more than transferred ones, by intervals apart, at {len(more)} of "
        f"{counted(len(common), 'cut')}, less at {len(less)}; at n = {common[-1]} they lose "
        f"{number(estimates[common[-1]])} points, transferred ones {number(transfers[common[-1]])}."
    )
    status = Status.NOISE
    if more and not less:
        status = Status.SEEN
    elif less and not more:
        status = Status.NOT_SEEN
    return Finding("random filters", claim, status, text, estimates)


_FINDINGS: tuple[Callable[[Levels], Finding], ...] = (
    _base, _co_adaptation, _recovery, _transfer, _causes, _boost,
)  # fmt: skip


def _by_cut(level: Levels, *names: str) -> dict[int, Estimate]:
    """The difference by n: of two kinds, or one of decomposition.DIFFERENCES by its name."""
    first, second = decomposition.DIFFERENCES[names[0]] if len(names) == 1 else names
    return _known((n, level.difference(first, second, [n])) for n in level.cuts)


def _known(estimates: Iterable[tuple[int, Estimate | None]]) -> dict[int, Estimate]:
    return {n: estimate for n, estimate in estimates if estimate is not None}


def _not_tested(key: str, claim: str, both: str) -> Finding:
    text = f"No task and seed has {both}, each with a result."
    return Finding(key, claim, Status.NOT_TESTED, text, {})


def _shown(estimates: Mapping[int, Estimate]) -> tuple[list[int], list[int]]:
    """The cuts at which a difference is shown to be above 0, and below."""
    above = [n for n, each in estimates.items() if each.is_positive]
    return above, [n for n, each in estimates.items() if each.is_negative]


def _told(
    what: str,
    estimates: Mapping[int, Estimate],
    more: str,
    above: Sequence[int],
    less: str,
    below: Sequence[int],
) -> str:
    parts = [f"{more} is shown at {len(above)} of {counted(len(estimates), 'cut')}"]
    if above:
        parts[0] += f" (n = {ranges(above)})"
    if below:
        parts.append(f"{less} at n = {ranges(below)}")
    largest = max(estimates, key=lambda n: estimates[n].value)
    parts.append(f"{what} is largest at n = {largest}: {number(estimates[largest])} points")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _cuts(estimates: Mapping[int, Estimate]) -> str:
    return counted(len(estimates), "cut")


def _is_below_margin(estimate: Estimate) -> bool:
    return estimate.high is not None and estimate.high < MARGIN


def _above(one: Estimate, other: Estimate) -> bool:
    return one.low is not None and other.high is not None and one.low > other.high
