"""What the page's scripts read, in plain values: networks with their curves, and charts."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from caffe_transfer.report import groups, tables
from caffe_transfer.report.contents import Report
from caffe_transfer.report.figure2_contents import figure2_groups
from caffe_transfer.report.logs import Try
from caffe_transfer.report.page.curves import MOST_POINTS, as_records
from caffe_transfer.report.page.figure2 import figure2
from caffe_transfer.report.page.figure3 import figure3
from caffe_transfer.report.page.points import PLUS
from caffe_transfer.report.page.provenance import Provenance
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict import Variant

CAPTIONS = {
    "figure2": "Figure 2. Above: every network. Below: the means, and what the drops are due to; "
    "the boost is over the base, and fine-tuned selffers are its control. The intervals of means "
    "are of their differences from the base, by pairs, and stand about the base's line.",
    "figure3": "Figure 3. Dissimilar tasks and random filters, and both relative to their bases.",
    "reduced": "The supplement's figure: fewer training images per class.",
    "preserved": "Layers above the frozen ones kept and fine-tuned.",
}
_INTERACTIVE = ("figure2", "figure3")
_ALL_POINTS = 60_000  # of all curves together, some 14 bytes each
_FEWEST = 24  # of one quantity of one network
_DIGITS = 6  # significant ones


@dataclass(frozen=True)
class Run:
    """One run on the page.

    Attributes:
        label: its name on the page.
        tries: the learning curves of its networks.
    """

    label: str
    report: Report
    tries: Mapping[str, Sequence[Try]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance(()))


@dataclass(frozen=True)
class Published:
    """Results drawn underneath, and their learning curves where there are logs."""

    rows: tuple[Row, ...] = ()
    tries: Mapping[str, Sequence[Try]] = field(default_factory=dict)


def caption(name: str) -> str:
    """The caption of a figure, which figure2-pets shares with figure2."""
    kind, _, group = name.partition("-")
    return f"{groups.title(group)}: {CAPTIONS[kind]}" if group else CAPTIONS[kind]


def is_interactive(name: str) -> bool:
    """Whether the page draws this figure itself."""
    return name.partition("-")[0] in _INTERACTIVE


def page_data(runs: Sequence[Run], published: Published, bare: bool) -> dict[str, Any]:
    """All that the scripts read; `bare` hides intervals until they are asked for."""
    count = sum(len(run.report.rows) for run in runs) + len(published.rows)
    most = min(MOST_POINTS, max(_FEWEST, _ALL_POINTS // (3 * count)))
    return {
        "bare": bare,
        "runs": [
            {
                "label": run.label,
                "networks": {
                    row.network.name: _network(
                        row, run.tries, most, run.provenance.of(row.network.name)
                    )
                    for row in run.report.rows
                },
                "charts": _charts(run.report, published.rows),
            }
            for run in runs
        ],
        "published": {
            row.network.name: _network(row, published.tries, most, ()) for row in published.rows
        },
    }


def as_json(data: object) -> str:
    """JSON that can stand in a script element: no name can end the element or begin another."""
    text = json.dumps(_rounded(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def paper_name(row: Row) -> str:
    """The paper's name of a cut network, such as A4B⁺; else its own."""
    network = row.network
    if network.base is None:
        return network.name
    return f"{network.base}{network.n}{network.target}{PLUS if network.fine_tuned else ''}"


def _network(
    row: Row, tries: Mapping[str, Sequence[Try]], most: int, facts: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    table = tables.row_table([row])
    numbers = [
        (label, value)
        for label, value in zip(table.columns[1:], table.rows[0][1:], strict=True)
        if value
    ]
    return {
        "paper": paper_name(row),
        "kind": Variant.of(row.network).label,
        "n": row.network.n,
        "cut": row.cut,
        "numbers": numbers,
        "facts": list(facts),
        "tries": as_records(tries.get(row.network.name, ()), most),
    }


def _charts(report: Report, published: Sequence[Row]) -> list[dict[str, Any]]:
    """The charts of the figures that were drawn."""
    of_groups = iter(figure2_groups(report.rows))
    found = []
    for name in filter(is_interactive, report.figures):
        if name == "figure3":
            drawn = figure3(report.rows, published)
        else:
            drawn = figure2(report.rows, published, next(of_groups))
        found.append(
            {"key": name, "caption": caption(name), "panels": [asdict(panel) for panel in drawn]}
        )
    return found


def _rounded(data: object) -> object:
    match data:
        case float():
            return float(f"{data:.{_DIGITS}g}") if math.isfinite(data) else None
        case dict():
            return {key: _rounded(value) for key, value in data.items()}
        case list() | tuple():
            return [_rounded(value) for value in data]
    return data
