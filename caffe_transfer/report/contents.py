"""What a report holds: results, and what follows from them for each group of splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caffe_transfer import paths
from caffe_transfer.report import decomposition, groups
from caffe_transfer.report.control import Control, control_of
from caffe_transfer.report.decomposition import Effects
from caffe_transfer.report.findings import Findings, findings
from caffe_transfer.report.metric import FEW_TESTS, Metric
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict import Verdict, verdicts


@dataclass(frozen=True)
class Decomposition:
    """What the drops of one group of splits are due to.

    Attributes:
        group: groups.RANDOM_HALVES, or the name of a split.
        effects, averages: at each n, and over ranges of n (paper table 1).
        control: fine-tuned transfer against its control; None without fine-tuned transfers.
        cuts: the names of the cuts by n, where they are known.
    """

    group: str
    effects: tuple[Effects, ...]
    averages: tuple[Effects, ...]
    control: Control | None
    cuts: Mapping[int, str]

    def cut_of(self, effect: Effects) -> str | None:
        """The name of the cut that effects are of; None of a range."""
        return self.cuts.get(effect.first) if effect.first == effect.last else None

    def records(self) -> list[dict[str, Any]]:
        """The effects, then the averages, by the column names of decomposition.csv."""
        return [
            {
                **effect.as_dict(),
                "group": self.group,
                "cut": self.cut_of(effect),
                **effect.intervals(),
            }
            for effect in (*self.effects, *self.averages)
        ]

    def as_dict(self) -> dict[str, Any]:
        """The decomposition in dictionaries and lists of plain values."""
        return {
            "group": self.group,
            "effects": [effect.as_dict() | effect.intervals() for effect in self.effects],
            "averages": [effect.as_dict() | effect.intervals() for effect in self.averages],
            "control": self.control and self.control.as_dict(),
            "cuts": dict(self.cuts),
        }


@dataclass(frozen=True)
class Report:
    """A study's results and what follows from them.

    Attributes:
        folder: where the report's files are.
        decompositions: one for each group of splits with cut networks.
        verdicts: one for each target task of a transfer.
        findings: the paper's, for each group of splits with cut networks.
        figures: names of the figures drawn.
        problems: one sentence for each file or folder that was skipped or only partly read.
    """

    folder: paths.ReportFolder
    rows: tuple[Row, ...]
    decompositions: tuple[Decomposition, ...]
    verdicts: tuple[Verdict, ...]
    findings: tuple[Findings, ...]
    figures: tuple[str, ...]
    problems: tuple[str, ...]

    @classmethod
    def of(
        cls,
        folder: paths.ReportFolder,
        rows: Sequence[Row],
        figures: Sequence[str] = (),
        problems: Sequence[str] = (),
    ) -> "Report":
        """The report on these results."""
        return cls(
            folder, tuple(rows), decompositions(rows), verdicts(rows), findings(rows),
            tuple(figures), tuple(problems),
        )  # fmt: skip

    @property
    def complete(self) -> int:
        """The number of networks trained to the end."""
        return sum(row.complete is True for row in self.rows)

    @property
    def metric(self) -> Metric:
        """The accuracy that all of it compares."""
        return self.rows[0].metric if self.rows else Metric.BEST10

    @property
    def few_tests(self) -> tuple[str, ...]:
        """The names of the networks with scores whose logs hold fewer than FEW_TESTS tests."""
        return tuple(
            row.network.name
            for row in self.rows
            if row.score is not None and row.tests is not None and row.tests < FEW_TESTS
        )

    @property
    def stalled(self) -> tuple[str, ...]:
        """The names of the networks whose training loss stayed at that of guessing."""
        return tuple(row.network.name for row in self.rows if row.stalled)

    @property
    def restarted(self) -> tuple[str, ...]:
        """The names of the networks that were resumed as Caffe resumes, with data from record 0."""
        return tuple(row.network.name for row in self.rows if row.data_restarts)

    def as_dict(self) -> dict[str, Any]:
        """The report in dictionaries and lists of plain values."""
        return {
            "folder": str(self.folder.root),
            "metric": self.metric.value,
            "rows": [row.as_dict() for row in self.rows],
            "decompositions": [each.as_dict() for each in self.decompositions],
            "verdicts": [each.as_dict() for each in self.verdicts],
            "findings": [each.as_dict() for each in self.findings],
            "figures": list(self.figures),
            "problems": list(self.problems),
        }


def decompositions(rows: Sequence[Row]) -> tuple[Decomposition, ...]:
    """The decomposition of each group of splits that has a cut network with an accuracy."""
    found = []
    for group, of_group in groups.by_group(rows).items():
        if level := decomposition.levels(of_group, group):
            found.append(
                Decomposition(
                    group,
                    effects=tuple(decomposition.decompose(level)),
                    averages=tuple(decomposition.averages(level)),
                    control=control_of(level),
                    cuts=groups.cut_names(of_group),
                )
            )
    return tuple(found)
