"""A verdict in words and numbers: percentages, and differences in percentage points."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from caffe_transfer.report.groups import RANDOM_HALVES
from caffe_transfer.report.intervals import Estimate, Kind
from caffe_transfer.report.verdict import Contender, CutVerdict, Verdict

COLUMNS = (
    "n", "cut", "loss: base - transfer", "lost co-adaptation", "specificity",
    "transfer+ - transfer",
)  # fmt: skip
CAPTION = (
    "In brackets 95 % intervals, of differences in percentage points; a difference is shown if its "
    "interval leaves 0 out, and one that is not shown is not therefore none. Binomial intervals "
    "come from the number of validation images and treat two networks as tested on different "
    "images, although they share them: they are rather too wide. Student's are of the mean of "
    "paired differences over repeats; for the seeds of one task, which share their images, the "
    "wider of the two counts. Cuts are judged one by one, without a correction for their number. "
    "The two parts add up to the loss where all three come from the same tasks and seeds."
)
_NO_INTERVAL = (
    "neither the number of validation images is known nor is there a repeat, so that it cannot be "
    "told from noise"
)


def heading(verdict: Verdict) -> str:
    """What the verdict is on."""
    return "Random halves" if verdict.target == RANDOM_HALVES else f"Target {verdict.target}"


def sentences(verdict: Verdict) -> list[str]:
    """The verdict, a sentence or two for each question."""
    found = [_frozen(verdict), _best(verdict), _tuning(verdict), _parts(verdict), _basis(verdict)]
    if verdict.unfinished:
        found.append(
            f"Not trained to their end, so that the verdict may change: "
            f"{', '.join(verdict.unfinished)}."
        )
    return [sentence for sentence in found if sentence]


def cells(cut: CutVerdict) -> list[str]:
    """The cells of COLUMNS."""
    estimates = (cut.loss, cut.co_adaptation, cut.specificity, cut.fine_tuning)
    return [
        str(cut.n),
        cut.cut or "",
        *("" if each is None else number(each) for each in estimates),
    ]


def _frozen(verdict: Verdict) -> str:
    losses = verdict.losses
    if not losses:
        lacking = "transfer with frozen features" if verdict.has_base else "base of this task"
        return f"Frozen features: no {lacking} has a result, so a loss cannot be measured."
    free = verdict.highest_without_loss
    if free is None or free.loss is None or free.loss.high is None:
        lowest = losses[0]
        if _loss(lowest).is_positive is None:
            return (
                f"Frozen features: base - transfer is {number(_loss(lowest))} points at "
                f"{_at(lowest)}; {_NO_INTERVAL}."
            )
        return (
            f"Frozen features lose accuracy already at the lowest cut: {number(_loss(lowest))} "
            f"points at {_at(lowest)}."
        )
    allowed = (
        f"a loss of up to {percentage(free.loss.high)} points is not excluded"
        if free.loss.high > 0
        else "they are shown to be better than the base"
    )
    text = (
        f"Frozen features: no loss is shown up to {_at(free)}, where base - transfer is "
        f"{number(free.loss)} points; {allowed}."
    )
    higher = [cut for cut in losses if cut.n > free.n]
    if not higher:
        return f"{text} There is no higher cut with a result."
    after = _loss(higher[0])
    if after.is_positive is None:
        return f"{text} Of {_at(higher[0])}: {_NO_INTERVAL}."
    return f"{text} At {_at(higher[0])} they lose {number(after)} points."


def _best(verdict: Verdict) -> str:
    best = verdict.best
    name = best.networks[0] if len(best.networks) == 1 else f"mean of {len(best.networks)}"
    text = (
        f"Best: {_contender(best)} ({name}) with {number(best.accuracy)} %, picked as the highest "
        f"of {1 + len(verdict.others)} and so rather too high."
    )
    compared = [each for each in verdict.others if each.behind]
    if any(each.behind and each.behind.low is None for each in compared):
        return f"{text} Of its lead over the others: {_NO_INTERVAL}."
    equal = [each for each in compared if each in verdict.not_worse]
    if equal:
        text += f" Not shown to be worse: {_list(equal)}."
    elif compared:
        text += " All others that can be compared with it are shown to be worse."
    if apart := [each for each in verdict.others if not each.behind]:
        text += f" Not comparable, for want of a common task and seed: {_list(apart)}."
    return text


def _tuning(verdict: Verdict) -> str:
    cuts = [cut for cut in verdict.cuts if cut.fine_tuning]
    if not cuts:
        return "Freeze or fine-tune: no cut has both networks, so the study does not say."
    gains = [cut for cut in cuts if _tuned(cut).is_positive]
    costs = [cut for cut in cuts if _tuned(cut).is_negative]
    rest = [cut for cut in cuts if cut not in gains and cut not in costs]
    if all(_tuned(cut).low is None for cut in cuts):
        higher = sum(_tuned(cut).value > 0 for cut in cuts)
        return (
            f"Freeze or fine-tune: transfer+ is above transfer at {higher} of "
            f"{counted(len(cuts), 'cut')}; {_NO_INTERVAL}."
        )
    parts = []
    if gains:
        parts.append(f"it gains at {_largest(gains, 'most')}")
    if costs:
        parts.append(f"it costs at {_largest(costs, 'most')}")
    if rest:
        parts.append(f"no difference is shown at {_largest(rest, 'the largest')}")
    advice = {
        (True, False): "Fine-tune",
        (False, True): "Freeze",
        (True, True): "Fine-tune at some cuts and freeze at others",
        (False, False): "Freeze or fine-tune, whichever is easier",
    }[bool(gains), bool(costs)]
    return f"{advice}, by transfer+ - transfer: {'; '.join(parts)}."


def _largest(cuts: Sequence[CutVerdict], which: str) -> str:
    """The cuts, and the largest difference among them: "n = 3-7, most at n = 7: 16.46 points"."""
    at = max(cuts, key=lambda cut: abs(_tuned(cut).value))
    where = f", {which} at n = {at.n}" if len(cuts) > 1 else ""
    return f"n = {ranges(cut.n for cut in cuts)}{where}: {number(_tuned(at))} points"


def _parts(verdict: Verdict) -> str:
    """What the first loss that is shown, and the largest, are due to."""
    lossy = [cut for cut in verdict.losses if cut.loss and cut.loss.is_positive]
    if not lossy:
        return ""
    divided = [cut for cut in lossy if cut.co_adaptation and cut.specificity]
    if not divided:
        return (
            "Specificity or lost co-adaptation: no selffer of this task has a result at a cut with "
            "a loss, so the loss cannot be divided."
        )
    largest = max(divided, key=lambda cut: _loss(cut).value)
    chosen = {cut.n: cut for cut in (divided[0], largest)}
    return " ".join(_divided(cut) for cut in chosen.values())


def _divided(cut: CutVerdict) -> str:
    return (
        f"Of the loss of {percentage(_loss(cut).value)} points at {_at(cut)}, lost co-adaptation "
        f"accounts for {_part(cut.co_adaptation)} and specificity for {_part(cut.specificity)}."
    )


def _part(estimate: Estimate | None) -> str:
    assert estimate is not None
    doubt = " (not shown)" if estimate.is_positive is False else ""
    return f"{number(estimate)}{doubt}"


def _basis(verdict: Verdict) -> str:
    return basis(
        estimate
        for cut in verdict.cuts
        for estimate in (cut.loss, cut.co_adaptation, cut.specificity, cut.fine_tuning)
    )


def basis(estimates: Iterable[Estimate | None]) -> str:
    """What the intervals come from, in one sentence; empty if there are none."""
    kinds: dict[Kind, set[int]] = defaultdict(set)
    for each in estimates:
        if each is None or each.kind is None:
            continue
        if each.kind is not Kind.BINOMIAL:
            kinds[each.kind].add(each.repeats)
        elif each.images is not None:
            kinds[each.kind].add(each.images)
    forms = {
        Kind.BINOMIAL: "binomial, from {} validation images",
        Kind.SEEDS: "Student's, over {} seeds",
        Kind.TASKS: "Student's, over {} tasks",
    }
    texts = [forms[kind].format(ranges(numbers)) for kind, numbers in kinds.items()]
    return f"The 95 % intervals are {'; or '.join(texts)}." if texts else ""


def _loss(cut: CutVerdict) -> Estimate:
    assert cut.loss is not None
    return cut.loss


def _tuned(cut: CutVerdict) -> Estimate:
    assert cut.fine_tuning is not None
    return cut.fine_tuning


def _contender(contender: Contender) -> str:
    variant = contender.variant
    if not variant.n:
        return f"the {variant.label}"
    name = f" ({contender.cut})" if contender.cut else ""
    return f"{variant.label} at n = {variant.n}{name}"


def _list(contenders: Iterable[Contender]) -> str:
    kinds: dict[str, list[int]] = defaultdict(list)
    for each in contenders:
        kinds[each.variant.label].append(each.variant.n)
    return "; ".join(
        f"{label} at n = {ranges(cuts)}" if any(cuts) else f"the {label}"
        for label, cuts in kinds.items()
    )


def _at(cut: CutVerdict) -> str:
    return f"n = {cut.n}" + (f" ({cut.cut})" if cut.cut else "")


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers, neighbours as ranges: "1-3, 5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def number(estimate: Estimate) -> str:
    """A value with its interval, if it has one."""
    value = percentage(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{percentage(estimate.low)}, {percentage(estimate.high)}]"


def percentage(share: float) -> str:
    """A share (1 = all) in percent."""
    text = f"{100 * share:.2f}"
    return "0.00" if text == "-0.00" else text


def counted(count: int, noun: str) -> str:
    """A number of things: "1 cut", "2 cuts"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
