"""The report's tables: as CSV with full precision, and for people in Markdown and as cells of text.

For people accuracies and their differences are in percent; a missing value is an empty cell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from caffe_transfer import paths
from caffe_transfer.report import decomposition
from caffe_transfer.report.control import Control
from caffe_transfer.report.decomposition import Effects
from caffe_transfer.report.results import Row, csv_text

ROW_COLUMNS = (
    "network", "n", "top-1", "last", "validation loss", "training loss", "iterations", "state",
)  # fmt: skip
EFFECT_COLUMNS = tuple(decomposition.COLUMNS)


@dataclass(frozen=True)
class Report:
    """A study's results and what follows from them.

    Attributes:
        folder: where the report's files are.
        effects, averages: the decomposition at each n, and over ranges of n (paper table 1).
        control: fine-tuned transfer against its control; None without fine-tuned transfers.
        figures: names of the figures drawn.
        problems: one sentence for each file or folder that was skipped or only partly read.
    """

    folder: paths.ReportFolder
    rows: tuple[Row, ...]
    effects: tuple[Effects, ...]
    averages: tuple[Effects, ...]
    control: Control | None
    figures: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def complete(self) -> int:
        """The number of networks trained to the end."""
        return sum(row.complete is True for row in self.rows)

    @property
    def stalled(self) -> tuple[str, ...]:
        """The names of the networks whose training loss stayed at that of guessing."""
        return tuple(row.network.name for row in self.rows if row.stalled)

    def as_dict(self) -> dict[str, Any]:
        """The report in dictionaries and lists of plain values."""
        return {
            "folder": str(self.folder.root),
            "rows": [row.as_dict() for row in self.rows],
            "effects": [effect.as_dict() for effect in self.effects],
            "averages": [effect.as_dict() for effect in self.averages],
            "control": self.control and self.control.as_dict(),
            "figures": list(self.figures),
            "problems": list(self.problems),
        }


def effects_csv(effects: Iterable[Effects]) -> str:
    """The decomposition in CSV."""
    return csv_text(EFFECT_COLUMNS, (effect.as_dict() for effect in effects))


def markdown(report: Report) -> str:
    """The report's tables in Markdown."""
    parts = []
    if report.effects:
        parts += [
            "# What the drops are due to\n",
            "Top-1 accuracy and differences in percent, means over the random splits: lost",
            "co-adaptation = base - selffer, specificity = selffer - transfer,",
            "boost = transfer+ - base; its control: boost over selffer+ = transfer+ - selffer+.\n",
            _markdown_table(EFFECT_COLUMNS, map(effect_cells, report.effects)),
        ]
    if report.control:
        parts.append(f"{control_sentence(report.control)}\n")
    if report.averages:
        parts += [
            "Over all networks with these n (the paper's table 1):\n",
            _markdown_table(EFFECT_COLUMNS, map(effect_cells, report.averages)),
        ]
    texts = (ROW_COLUMNS[0], ROW_COLUMNS[-1])
    parts += ["# Networks\n", _markdown_table(ROW_COLUMNS, map(row_cells, report.rows), texts)]
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


def effect_cells(effect: Effects) -> list[str]:
    """The cells of EFFECT_COLUMNS."""
    return [v if isinstance(v, str) else percent(v) for v in effect.as_dict().values()]


def row_cells(row: Row) -> list[str]:
    """The cells of ROW_COLUMNS."""
    return [
        row.network.name,
        str(row.network.n or ""),
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


def _markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[str] = ()
) -> str:
    """A table whose columns are numbers, aligned to the right, but for those named in `texts`."""
    aligned = ["---" if column in texts else "---:" for column in columns]
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, aligned, *rows))
