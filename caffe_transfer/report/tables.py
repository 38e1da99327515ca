"""The report's tables: as CSV with full precision, and for people in Markdown and as cells of text.

For people accuracies and their differences are in percent; a missing value is an empty cell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caffe_transfer.report import decomposition, groups, verdict_text
from caffe_transfer.report.contents import Decomposition, Report
from caffe_transfer.report.control import Control
from caffe_transfer.report.csv_text import csv_text
from caffe_transfer.report.decomposition import Effects
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict import Verdict

ROW_COLUMNS = (
    "network", "n", "cut", "top-1", "last", "validation loss", "training loss", "iterations",
    "state",
)  # fmt: skip
EFFECT_COLUMNS = ("n", "cut", *list(decomposition.COLUMNS)[1:])
DECOMPOSITION_COLUMNS = (*decomposition.COLUMNS, "group", "cut")  # of decomposition.csv
TEXT_COLUMNS = ("network", "cut", "state")


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
    return Table.of(ROW_COLUMNS, map(row_cells, rows), ("cut",))


def effect_table(of_group: Decomposition) -> Table:
    """The effects at each n, then over ranges of n."""
    effects = (*of_group.effects, *of_group.averages)
    cells = [effect_cells(effect, of_group.cut_of(effect) or "") for effect in effects]
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
    if report.decompositions:
        parts += [
            "# What the drops are due to\n",
            "Top-1 accuracy and differences in percent, means over the networks: lost",
            "co-adaptation = base - selffer, specificity = selffer - transfer,",
            "boost = transfer+ - base; its control: boost over selffer+ = transfer+ - selffer+.\n",
            *map(_markdown_decomposition, report.decompositions),
        ]
    parts += ["# Networks\n", _markdown_table(row_table(report.rows))]
    return "\n".join(parts)


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
        parts.append("Ranges of n are over all networks with these n (the paper's table 1).\n")
    if of_group.control:
        parts.append(f"{control_sentence(of_group.control)}\n")
    return "\n".join(parts)


def control_sentence(control: Control) -> str:
    """What the control says about the boost, in one sentence."""
    cuts, mean = len(control.differences), control.mean_difference
    doubt = "a boost over the base alone may be due to longer training"
    if mean is None:
        return f"No cut has both transfer+ and its control selffer+ on the same task, so {doubt}."
    return (
        f"Transfer+ exceeds its control, selffer+ on the same task, at {control.higher} of {cuts} "
        f"cut{'' if cuts == 1 else 's'}, with a mean difference of {100 * mean:+.2f} percentage "
        f"points; {doubt}."
    )


def effect_cells(effect: Effects, cut: str = "") -> list[str]:
    """The cells of EFFECT_COLUMNS."""
    label, *values = effect.as_dict().values()
    return [label, cut, *map(percent, values)]


def row_cells(row: Row) -> list[str]:
    """The cells of ROW_COLUMNS."""
    return [
        row.network.name,
        str(row.network.n or ""),
        row.cut or "",
        percent(row.top1),
        percent(row.top1_last),
        _loss(row.valid_loss),
        _loss(row.train_loss),
        str(row.iterations),
        _state(row),
    ]


def percent(share: float | None) -> str:
    """A share or a difference of shares (1 = all) in percent."""
    return "" if share is None else f"{100 * share:.2f}"


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _state(row: Row) -> str:
    """What is wrong with a network's training, empty if nothing is."""
    notes = {
        "not complete": row.complete is False,
        "no scores": row.top1 is None,
        "stalled": row.stalled,
    }
    return ", ".join(note for note, holds in notes.items() if holds)


def _markdown_table(table: Table) -> str:
    """A table whose numbers are aligned to the right."""
    aligned = ["---" if column in TEXT_COLUMNS else "---:" for column in table.columns]
    rows = ([cell.replace("|", r"\|") for cell in row] for row in table.rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in (table.columns, aligned, *rows))
