"""The page: all in one file, with what there is and nothing else."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from caffe_transfer.report import verdict_text
from caffe_transfer.report.contents import Report
from caffe_transfer.report.control import control
from caffe_transfer.report.figures import draw_all
from caffe_transfer.report.make import make_report, make_reports, run_labels
from caffe_transfer.report.page.data import Published, Run, as_json
from caffe_transfer.report.page.provenance import Provenance
from caffe_transfer.report.page.render import render
from caffe_transfer.report.tables import EFFECTS_CAPTION, control_sentence, notes
from caffe_transfer.report.verdict import verdicts
from tests.test_results import log, network
from tests.test_tables import NAMED, ROWS, report


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in its turn; keeps the text and the scripts' text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "input"):
            self.open.append("data" if ("id", "data") in attrs else tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() in (tag, "data")

    def handle_data(self, data: str) -> None:
        match self.open[-1:]:
            case ["data"]:
                self.data += data
            case ["script" | "style"]:
                pass
            case _:
                self.text += data


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    return parser


def page_of(made: Report, **more: Any) -> str:
    return render([Run("", made, **more)])


def text_of(html: str) -> str:
    return " ".join(parsed(html).text.split())


def data_of(html: str) -> Any:
    return json.loads(parsed(html).data)


def test_the_page_states_the_boost_beside_its_control() -> None:
    found = control(ROWS)
    assert found is not None
    text = text_of(page_of(report(*ROWS)))
    assert control_sentence(found) in text
    assert " ".join(EFFECTS_CAPTION.split()) in text
    assert "4 networks, of which 2 are complete and 1 stalled" in text
    assert "a <log> is cut off" in text  # escaped: the parser saw no tag


def test_the_page_shows_verdict_groups_and_names_of_cuts() -> None:
    html = page_of(report(*ROWS, *NAMED))
    text = text_of(html)
    assert text.index("Verdict Random halves") < text.index("What the drops are due to")
    for verdict in verdicts(NAMED):
        for sentence in verdict_text.sentences(verdict):
            assert sentence in text
    assert "Target halfpetsB" in text
    assert "Split pets ncutbaseselffer" in text
    # One table for each of three verdicts and three groups, and that of the networks.
    assert html.count("<table") == 7
    assert html.count('<tr class="average">') == 3


def test_the_page_shows_findings_and_what_is_measured() -> None:
    made = report(*ROWS, *NAMED)
    html = page_of(made)
    text = text_of(html)
    for note in notes(made):
        assert note in text
    for of_group in made.findings:
        for finding in of_group.findings:
            assert f"{finding.status.value} {finding.claim} {finding.sentence}" in text
    assert html.count('<li><span class="status"') == sum(
        len(each.findings) for each in made.findings
    )
    assert "The paper's findings" not in text_of(page_of(report(ROWS[0])))


def test_figures_without_intervals() -> None:
    made = report(*ROWS)
    assert data_of(render([Run("", made)], bare=True))["bare"] is True
    assert data_of(page_of(made))["bare"] is False


def test_figures_of_further_groups_share_the_captions(tmp_path: Path) -> None:
    rows = [*ROWS, *NAMED]
    drawn = tuple(draw_all(rows))
    assert drawn == ("figure2", "figure2-pets", "figure3")
    html = page_of(report(*rows, folder=tmp_path, figures=drawn))
    captions = re.findall("<figcaption>(.*?)</figcaption>", html, re.S)
    assert [" ".join(caption.split())[:21] for caption in captions] == [
        "Figure 2. Above: ever", "Split pets: Figure 2.", "Figure 3. Dissimilar ",
    ]  # fmt: skip
    assert [chart["key"] for chart in data_of(html)["runs"][0]["charts"]] == list(drawn)


def test_figures_without_a_chart_of_their_own_are_embedded(tmp_path: Path) -> None:
    made = report(*ROWS, folder=tmp_path, figures=("figure2", "reduced"))
    made.folder.figure("reduced", "svg").write_text("<svg/>")
    html = page_of(made)
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert base64.b64decode(data) == b"<svg/>"


def test_nothing_to_decompose_no_table_of_effects() -> None:
    html = page_of(report(ROWS[0]))
    assert "boost" not in text_of(html)
    assert html.count("<table") == 1


def test_no_text_ends_the_data_or_becomes_a_tag() -> None:
    bad = "</script><script>alert(1)</script><!-- & \u2028"
    made = page_of(
        report(*ROWS),
        provenance=Provenance(
            (("study", bad),), study_text=bad, networks={"half0B": (("engine", bad),)}
        ),
    )
    assert made.count("<script") == 1 + 2 + 4  # data, libraries, our own
    assert text_of(made).count("alert(1)") == 2
    assert data_of(made)["runs"][0]["networks"]["half0B"]["facts"] == [["engine", bad]]
    assert not set("<>&\u2028") & set(as_json([bad]))


def test_numbers_that_json_has_no_word_for_are_null() -> None:
    assert as_json([float("nan"), float("inf"), 1 / 3]) == "[null,null,0.333333]"


def test_own_against_published() -> None:
    html = render([Run("", report(*ROWS))], Published(ROWS[:1]))
    (row,) = re.findall(r'<tr data-run="0" data-name="half0B".*?</tr>', html, re.S)
    assert row.endswith("<td>86.70</td><td>+0.00</td></tr>")
    assert list(data_of(html)["published"]) == ["half0B"]
    assert ">published<" not in page_of(report(*ROWS))


def networks(folder: Path, shift: float = 0.0) -> Path:
    for name, scores in {"half0B": [0.5, 0.6], "transfer0A0B_1_2": [0.4, 0.5]}.items():
        network(folder / "results", name, log([3, 2], [score + shift for score in scores]))
    return folder


def test_a_report_from_logs_is_one_page_that_asks_for_nothing(tmp_path: Path) -> None:
    made = make_report(networks(tmp_path), tmp_path / "report")
    html = made.folder.page.read_text()
    assert made.figures == ("figure2",)
    assert made.folder.figure("figure2", "svg").exists()
    body = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    assert not re.search(r'(src|href|url)\s*[=(]\s*["\']?(?!data:)', body)
    assert "default-src 'none'" in html
    assert "transfer0A0B_1_2" in text_of(html)
    (each,) = data_of(html)["runs"][0]["networks"]["half0B"]["tries"]
    assert each["accuracy"][1] == [0.5, 0.6]


def test_several_runs_in_one_page(tmp_path: Path) -> None:
    runs = [networks(tmp_path / "x/demo"), networks(tmp_path / "y/demo", 0.1)]
    made = make_reports(runs, tmp_path / "both", published=runs[0])
    html = (tmp_path / "both/index.html").read_text()
    assert [run["label"] for run in data_of(html)["runs"]] == ["x/demo", "y/demo"]
    assert [each.folder.root.name for each in made] == ["x-demo", "y-demo"]
    for each in made:
        assert {path.name for path in each.folder.root.iterdir()} == {
            "results.csv", "decomposition.csv", "table.md",
            "figure2.png", "figure2.pdf", "figure2.svg",
        }  # fmt: skip
    assert html.count('data-name="half0B"') == 2
    assert '<option value="1">y/demo</option>' in html


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["a"], ["a"]),
        (["a", "b/c"], ["a", "c"]),
        (["a/c", "b/c", "b/d"], ["a/c", "b/c", "b/d"]),
        (["a-c", "x/a/c", "y/c"], ["r/a-c", "a/c", "y/c"]),
    ],
)
def test_runs_are_named_by_the_ends_of_their_paths(
    folders: list[str], labels: list[str], tmp_path: Path
) -> None:
    root = tmp_path / "r"
    assert run_labels([root / folder for folder in folders]) == labels
