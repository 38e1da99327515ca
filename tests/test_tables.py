"""The report's tables for people, its dictionaries, and one table per report."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer import paths
from caffe_transfer.report import decomposition, results, tables
from caffe_transfer.report.contents import Report
from caffe_transfer.report.metric import Metric
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Network

ROWS = (
    Row(Network.parse("half0B"), 900, True, 0.867, 0.86, 0.4, 0.2, False),
    Row(Network.parse("transfer-ft0A0B_1_2"), 900, True, 0.886, 0.88, 0.39, 0.21, False),
    Row(Network.parse("transfer-ft0B0B_1_2"), 450, False, 0.878, 0.87, 0.41, 0.22, False),
    Row(Network.parse("transfer0A0B_1_3"), 0, None, stalled=True),
)


def report(*rows: Row, folder: Path = Path("report"), figures: tuple[str, ...] = ()) -> Report:
    return Report.of(paths.ReportFolder(folder), rows, figures, ("a <log> is cut off",))


def test_a_row_in_cells() -> None:
    assert [tables.row_cells(row) for row in ROWS[1:]] == [
        [
            "transfer-ft0A0B_1_2", "2", "", "88.60", "88.00", "", "", "", "0.39", "0.21", "900", "",
            "",
        ],
        [
            "transfer-ft0B0B_1_2", "2", "", "87.80", "87.00", "", "", "", "0.41", "0.22", "450", "",
            "not complete",
        ],
        [
            "transfer0A0B_1_3", "3", "", "", "", "", "", "", "", "", "0", "", "no scores, stalled",
        ],
    ]  # fmt: skip


def test_a_row_s_interval_is_that_of_the_accuracy_that_is_compared() -> None:
    row = Row(
        Network.parse("half0B"), 900, True, 0.6, 0.5, valid_images=100, top5=0.9, tests=29,
        top1_last10=0.4,
    )  # fmt: skip
    assert tables.row_cells(row)[3:8] == ["60.00", "50.00", "40.00", "50.20 to 69.06", "90.00"]
    assert tables.row_cells(row)[-2:] == ["29", "29 tests"]
    last = replace(row, metric=Metric.LAST, tests=30)
    assert tables.row_cells(last)[3:7] == ["60.00", "50.00", "40.00", "40.38 to 59.62"]
    assert tables.row_cells(last)[-1] == ""


def test_few_tests_are_told_once_and_the_metric_is_named() -> None:
    few = [replace(row, tests=count) for row, count in zip(ROWS, (30, 29, 6, 6), strict=True)]
    (metric, tests) = tables.notes(report(*few))
    assert "ten highest" in metric
    assert tests.startswith("2 of 3 networks have fewer than 30 tests (the fewest 6), so that")
    (metric,) = tables.notes(report(*(replace(row, metric=Metric.LAST) for row in ROWS)))
    assert metric == "Top-1 accuracy is the accuracy of the last test."


def test_networks_whose_data_began_anew_are_marked() -> None:
    counts = (None, 0, 2, 1)
    rows = [replace(row, data_restarts=n) for row, n in zip(ROWS, counts, strict=True)]
    told = tables.notes(report(*rows))[-1]
    assert told.startswith("2 of 4 networks were resumed as Caffe does it, with their data from")
    assert told.endswith(": transfer-ft0B0B_1_2, transfer0A0B_1_3.")
    assert [tables.row_cells(row)[-1] for row in rows] == [
        "", "", "not complete, data restarted", "no scores, stalled, data restarted"
    ]  # fmt: skip


def test_one_metric_goes_through_the_whole_report() -> None:
    """By the last accuracy the transfer is below its base, by the ten highest above."""
    rows = [
        Row(Network.parse("half0B"), 900, True, 0.80, 0.80, valid_images=10**6),
        Row(Network.parse("transfer0A0B_1_2"), 900, True, 0.90, 0.70, valid_images=10**6),
    ]
    found = report(*(replace(row, metric=Metric.LAST) for row in rows))
    (of_halves,) = found.decompositions
    assert (of_halves.effects[0].base, of_halves.effects[0].transfer) == (0.80, 0.70)
    (verdict,) = found.verdicts
    assert verdict.cuts[0].loss is not None
    assert verdict.cuts[0].loss.value == pytest.approx(0.1)
    assert found.findings[0].findings[3].estimates[2].value == pytest.approx(0.1)
    assert found.as_dict()["metric"] == "last"
    assert found.as_dict()["rows"][1]["top1"] == 0.90


def test_marks_of_the_short_table() -> None:
    table = [
        Row(Network.parse(name), 1, True, top1, valid_images=1000)
        for name, top1 in {
            "half0B": 0.8, "transfer0B0B_1_1": 0.79, "transfer0A0B_1_1": 0.5, "half0A": 0.9,
            "transfer0A0B_1_2": 0.5, "transfer0B0A_1_2": 0.6, "transfer0A0A_1_2": 0.6,
        }.items()
    ]  # fmt: skip
    (of_halves,) = report(*table).decompositions
    at_1, at_2, _ = tables.short_effect_table(of_halves).rows
    columns = tables.short_effect_table(of_halves).columns
    effects = dict(zip(columns, zip(at_1, at_2, strict=True), strict=True))
    assert effects["specificity"] == ("29.00*", "5.00~")
    assert effects["lost co-adaptation"] == ("6.00~", "25.00~")
    full = tables.effect_table(of_halves)
    cell = full.rows[1][full.columns.index("specificity")]
    assert cell.startswith("5.00; by pairs 0.00 [")


def test_rounding_does_not_pass_for_tasks_that_lack_a_network() -> None:
    seeds = ("", "-seed2", "-seed3")
    selffers, transfers = (0.80405, 0.79185, 0.8061), (0.7697, 0.77345, 0.7687)
    rows = [
        Row(Network.parse(f"transfer0{base}0B_1_3{seed}"), 1, True, top1, valid_images=2000)
        for base, values in (("B", selffers), ("A", transfers))
        for seed, top1 in zip(seeds, values, strict=True)
    ]
    (of_halves,) = report(*rows).decompositions
    table = tables.short_effect_table(of_halves)
    assert table.rows[0][table.columns.index("specificity")] == "3.01*"


def test_markdown_puts_the_boost_beside_its_control() -> None:
    text = tables.markdown(report(*ROWS))
    assert "| 2 | 86.70 |  | 87.80 |  | 88.60 |  |  | 1.90 | 0.80 |\n" in text
    assert "Transfer+ exceeds its control, selffer+ on the same task, at 1 of 1 cut" in text
    assert "| network | n | top-1 | last |" in text
    assert "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n" in text
    assert text.count("\n| half0B |") == 1


@pytest.mark.parametrize(
    ("names", "present", "absent"),
    [
        ((), ["# Networks"], ["# What", "boost", "table 1", "findings"]),
        (("half0B", "transfer0A0B_1_1"), ["# What"], ["Transfer+ exceeds", "No cut", "table 1"]),
        (("half0B", "transfer0A0B_1_2"), ["# What", "table 1"], ["No cut"]),
        (
            ("transfer-ft0A0B_1_2",),
            ["No cut has both transfer+ and its control"],
            ["exceeds its control", "seen here |"],
        ),
    ],
)
def test_markdown_says_no_more_than_there_is(
    names: tuple[str, ...], present: list[str], absent: list[str]
) -> None:
    text = tables.markdown(report(*(Row(Network.parse(name), 1, top1=0.5) for name in names)))
    assert [word for word in present if word not in text] == []
    assert [word for word in absent if word in text] == []


def test_a_report_as_a_dictionary_of_plain_values() -> None:
    found = json.loads(json.dumps(report(*ROWS, figures=("figure2",)).as_dict()))
    assert list(found) == [
        "folder", "metric", "rows", "decompositions", "verdicts", "findings", "figures",
        "problems",
    ]  # fmt: skip
    assert list(found["rows"][0]) == list(results.COLUMNS)
    (of_halves,) = found["decompositions"]
    columns = [*decomposition.COLUMNS, *decomposition.interval_columns()]
    assert list(of_halves["effects"][0]) == columns
    assert of_halves["effects"][0]["boost"] == pytest.approx(0.019)
    assert of_halves["control"]["cuts"] == 1
    (verdict,) = found["verdicts"]
    assert (verdict["target"], verdict["best"]["kind"]) == ("random halves", "transfer+")
    assert report(ROWS[0]).as_dict()["decompositions"] == []
    assert report(ROWS[0]).as_dict()["verdicts"] == []


NAMED = tuple(
    Row(Network.parse(name), 900, True, 0.5, cut=cut, valid_images=1000)
    for name, cut in {
        "halfpetsB": None, "transferpetsAB_1_2": "a|b", "transferpetsAB_1_3": "conv3",
        "transfernatmanAB_1_2": "a|b",
    }.items()
)  # fmt: skip


def test_each_group_has_its_decomposition_with_the_names_of_cuts_beside_n() -> None:
    text = tables.markdown(report(*ROWS, *NAMED))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Verdict", "## Random halves", "## Target halfnatmanB", "## Target halfpetsB",
        "# The paper's findings",
        "## Random halves", "## Man-made/natural split", "## Split pets",
        "# What the drops are due to",
        "## Random halves", "## Man-made/natural split", "## Split pets",
        "# Networks",
    ]  # fmt: skip
    assert "| 3 | conv3 | 50.00 [46.91, 53.09] |  |  | 50.00 [46.91, 53.09] |" in text
    assert r"| transferpetsAB_1_2 | 2 | a\|b | 50.00 |" in text
    text = tables.decomposition_csv(report(*ROWS, *NAMED).decompositions)
    assert [f"{record['n']}:{record['group']}" for record in csv.DictReader(io.StringIO(text))] == [
        "2:random halves", "1-2:random halves", "2:natman", "1-2:natman",
        "2:pets", "3:pets", "1-3:pets",
    ]  # fmt: skip


def test_what_the_report_counts() -> None:
    assert report(*ROWS).complete == 2
    assert report(*ROWS).stalled == ("transfer0A0B_1_3",)
