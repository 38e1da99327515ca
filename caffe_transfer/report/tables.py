"""The report's tables: as CSV with full precision, and for people in Markdown and as cells of text.

For people accuracies and their differences are in percent; a missing value is an empty cell.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from caffe_transfer.report import decomposition, groups, verdict_text
from caffe_transfer.report.contents import Decomposition, Report
from caffe_transfer.report.control import Control
from caffe_transfer.report.csv_text import csv_text
from caffe_transfer.report.decomposition import Effects
from caffe_transfer.report.findings import MARGIN, Findings
from caffe_transfer.report.intervals import Estimate
from caffe_transfer.report.metric import FEW_TESTS, Metric
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict import Verdict

ROW_COLUMNS = (
    "network", "n", "cut", "top-1", "last", "last 10", "95 % interval", "top-5", "validation loss",
    "training loss", "iterations", "tests", "state",
)  # fmt: skip
_SAME = 1e-9  # differences of means and means of differences, by rounding
_OPTIONAL = ("cut", "last 10", "95 % interval", "top-5", "tests")
EFFECT_COLUMNS = ("n", "cut", *list(decomposition.COLUMNS)[1:])
DECOMPOSITION_COLUMNS = (
    *decomposition.COLUMNS, "group", "cut", *decomposition.interval_columns(),
)  # fmt: skip
EFFECTS_CAPTION = (
    "Top-1 accuracy and differences in percent, means over the networks: lost co-adaptation = base "
    "- selffer, specificity = selffer - transfer, boost = transfer+ - base; its control: boost "
    "over selffer+ = transfer+ - selffer+. In brackets 95 % intervals; those of differences are by "
    "pairs, over the tasks and seeds that have both networks. Where some lack one of them, the "
    "mean by pairs is another number than the difference of the means, and stands beside it."
)
RANGES_CAPTION = (
    "Ranges of n are over all networks with these n (the paper's table 1); their intervals are of "
    "means over n within each task."
)
FINDING_COLUMNS = ("the paper found", "status", "numbers")
FINDINGS_CAPTION = (
    "Differences in percentage points with 95 % intervals. Seen: the intervals show it. Not seen: "
    f"they show the opposite, or bound the effect below {100 * MARGIN:g} point. Within noise: "
    "neither. Cuts are judged one by one, without a correction for their number."
)
MARKS = {
    "*": "The 95 % interval of the difference leaves 0 out.",
    "~": "Some tasks have only one of the two kinds: part of the difference is that of tasks.",
}
TEXT_COLUMNS = ("network", "cut", "state", *FINDING_COLUMNS)


@dataclass(frozen=True)
class Table:
    """A table for people."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, columns: Sequence[str], rows: Iterable[Sequence[str]], optional: Sequence[str]
    ) -> "Table":
        """The table of these columns, without those of the optional ones that are empty."""
        cells = [tuple(row) for row in rows]
        kept = [
            at
            for at, name in enumerate(columns)
            if name not in optional or any(row[at] for row in cells)
        ]
        picked = (tuple(row[at] for at in kept) for row in (columns, *cells))
        return cls(next(picked), tuple(picked))


def row_table(rows: Iterable[Row]) -> Table:
    """The networks."""
    return Table.of(ROW_COLUMNS, map(row_cells, rows), _OPTIONAL)


def effect_table(of_group: Decomposition) -> Table:
    """The effects at each n, then over ranges of n, with their intervals."""
    return _effect_table(of_group, effect_cells)


def short_effect_table(of_group: Decomposition) -> Table:
    """The same without intervals, with the marks of MARKS behind differences."""
    return _effect_table(of_group, _short_effect_cells)


def _effect_table(of_group: Decomposition, cells_of: Callable[[Effects, str], list[str]]) -> Table:
    effects = (*of_group.effects, *of_group.averages)
    cells = [cells_of(effect, of_group.cut_of(effect) or "") for effect in effects]
    return Table.of(EFFECT_COLUMNS, cells, ("cut",))


def verdict_table(verdict: Verdict) -> Table:
    """The differences at each n, with their intervals."""
    cells = map(verdict_text.cells, verdict.cuts)
    return Table.of(verdict_text.COLUMNS, cells, verdict_text.COLUMNS)


def decomposition_csv(decompositions: Iterable[Decomposition]) -> str:
    """The decompositions in CSV."""
    records = (record for each in decompositions for record in each.records())
    return csv_text(DECOMPOSITION_COLUMNS, records)


def markdown(report: Report) -> str:
    """The report's verdicts and tables in Markdown."""
    parts = []
    if report.verdicts:
        parts += ["# Verdict\n", *map(_markdown_verdict, report.verdicts)]
        parts.append(f"{verdict_text.CAPTION}\n")
    if report.findings:
        parts += ["# The paper's findings\n", *map(_markdown_findings, report.findings)]
        parts.append(f"{FINDINGS_CAPTION}\n")
    if report.decompositions:
        parts += [
            "# What the drops are due to\n",
            f"{EFFECTS_CAPTION}\n",
            *map(_markdown_decomposition, report.decompositions),
        ]
    parts += ["# Networks\n", *(f"{note}\n" for note in notes(report))]
    parts.append(_markdown_table(row_table(report.rows)))
    return "\n".join(parts)


def _markdown_findings(of_group: Findings) -> str:
    return f"## {groups.title(of_group.group)}\n\n{_markdown_table(findings_table(of_group))}"


def findings_table(of_group: Findings) -> Table:
    """The paper's findings, whether they are seen here, and the numbers."""
    cells = ((each.claim, each.status.value, each.sentence) for each in of_group.findings)
    return Table(FINDING_COLUMNS, tuple(cells))


def notes(report: Report) -> list[str]:
    """What is measured, and what is wrong with the measure, a sentence each."""
    found = [f"Top-1 accuracy is {report.metric.label}."]
    if report.metric is Metric.BEST10:
        found = [
            f"Top-1 accuracy is {report.metric.label}, the paper's metric, which rewards noise; "
            "the last accuracy and the mean of the last ten stand beside it, and `report --metric` "
            "makes a report by one of them."
        ]
    if report.few_tests:
        scored = sum(row.score is not None for row in report.rows)
        fewest = min(row.tests or 0 for row in report.rows if row.network.name in report.few_tests)
        found.append(
            f"{len(report.few_tests)} of {scored} networks have fewer than {FEW_TESTS} tests (the "
            f"fewest {fewest}), so that the ten highest may count tests of early training, even "
            "the one before it."
        )
    if report.restarted:
        found.append(
            f"{len(report.restarted)} of {len(report.rows)} networks were resumed as Caffe does "
            "it, with their data from record 0, and have other numbers than without a stop: "
            f"{', '.join(report.restarted)}."
        )
    return found


def _markdown_verdict(verdict: Verdict) -> str:
    return "\n".join(
        [
            f"## {verdict_text.heading(verdict)}\n",
            *(f"- {sentence}" for sentence in verdict_text.sentences(verdict)),
            "",
            _markdown_table(verdict_table(verdict)),
        ]
    )


def _markdown_decomposition(of_group: Decomposition) -> str:
    parts = [f"## {groups.title(of_group.group)}\n", _markdown_table(effect_table(of_group))]
    if of_group.averages:
        parts.append(f"{RANGES_CAPTION}\n")
    if intervals := effects_basis(of_group):
        parts.append(f"{intervals}\n")
    if of_group.control:
        parts.append(f"{control_sentence(of_group.control)}\n")
    return "\n".join(parts)


def effects_basis(of_group: Decomposition) -> str:
    """What the intervals of the differences come from, in one sentence; empty without any."""
    effects = (*of_group.effects, *of_group.averages)
    names = decomposition.DIFFERENCES
    return verdict_text.basis(each.estimates.get(name) for each in effects for name in names)


def control_sentence(control: Control) -> str:
    """What the control says about the boost, in one sentence."""
    doubt = "a boost over the base alone may be due to longer training"
    overall = control.overall
    if overall is None:
        return f"No cut has both transfer+ and its control selffer+ on the same task, so {doubt}."
    if overall.is_positive:
        verdict = "which is shown, so that the boost is not due to longer training alone"
    elif overall.is_negative:
        verdict = f"which shows the opposite of a gain by transfer; {doubt}"
    elif overall.is_positive is None:
        verdict = f"which cannot be told from noise; {doubt}"
    else:
        verdict = f"which is within noise; {doubt}"
    sign = "+" if overall.value > 0 else ""
    return (
        f"Transfer+ exceeds its control, selffer+ on the same task, at {control.higher} of "
        f"{verdict_text.counted(len(control.estimates), 'cut')}, with a mean difference of "
        f"{sign}{verdict_text.number(overall)} percentage points, {verdict}."
    )


def effect_cells(effect: Effects, cut: str = "") -> list[str]:
    """The cells of EFFECT_COLUMNS, each with its interval."""
    return _cells_of_effect(effect, cut, _with_interval)


def _short_effect_cells(effect: Effects, cut: str = "") -> list[str]:
    return _cells_of_effect(effect, cut, _marked)


def _cells_of_effect(
    effect: Effects, cut: str, show: Callable[[str, float, Estimate | None], str]
) -> list[str]:
    cells = [effect.label, cut]
    for name in list(decomposition.COLUMNS.values())[1:]:
        value = getattr(effect, name)
        cells.append("" if value is None else show(name, value, effect.estimates.get(name)))
    return cells


def _with_interval(_name: str, value: float, estimate: Estimate | None) -> str:
    """A value and its interval, with the value by pairs where that is another."""
    text = percent(value)
    if estimate is None or estimate.low is None:
        return text
    paired = verdict_text.number(estimate)
    if math.isclose(estimate.value, value, abs_tol=_SAME):
        return f"{text} {paired.partition(' ')[2]}"
    return f"{text}; by pairs {paired}"


def _marked(name: str, value: float, estimate: Estimate | None) -> str:
    if name not in decomposition.DIFFERENCES:
        return percent(value)
    mark = " "
    if estimate is None or not math.isclose(estimate.value, value, abs_tol=_SAME):
        mark = "~"
    elif estimate.is_positive or estimate.is_negative:
        mark = "*"
    return percent(value) + mark


def row_cells(row: Row) -> list[str]:
    """The cells of ROW_COLUMNS; the interval is that of the accuracy that the report compares."""
    return [
        row.network.name,
        str(row.network.n or ""),
        row.cut or "",
        percent(row.top1),
        percent(row.top1_last),
        percent(row.top1_last10),
        _interval(row.estimate),
        percent(row.top5),
        _loss(row.valid_loss),
        _loss(row.train_loss),
        str(row.iterations),
        "" if row.tests is None else str(row.tests),
        _state(row),
    ]


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None:
        return ""
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def percent(share: float | None) -> str:
    """A share or a difference of shares (1 = all) in percent."""
    return "" if share is None else f"{100 * share:.2f}"


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _state(row: Row) -> str:
    """What is wrong with a network's training, empty if nothing is."""
    notes = {
        "not complete": row.complete is False,
        "no scores": row.score is None,
        f"{row.tests} tests": row.score is not None and (row.tests or FEW_TESTS) < FEW_TESTS,
        "stalled": row.stalled,
        "data restarted": bool(row.data_restarts),
    }
    return ", ".join(note for note, holds in notes.items() if holds)


def _markdown_table(table: Table) -> str:
    """A table whose numbers are aligned to the right."""
    aligned = ["---" if column in TEXT_COLUMNS else "---:" for column in table.columns]
    rows = ([cell.replace("|", r"\|") for cell in row] for row in table.rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in (table.columns, aligned, *rows))
