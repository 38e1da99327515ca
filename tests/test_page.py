"""The page: all in one file, with what there is and nothing else."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

from caffe_transfer.report import page, verdict_text
from caffe_transfer.report.control import control
from caffe_transfer.report.figures import draw_all
from caffe_transfer.report.make import make_report
from caffe_transfer.report.tables import control_sentence
from caffe_transfer.report.verdict import verdicts
from tests.test_results import log, network
from tests.test_tables import NAMED, ROWS, report


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in its turn; keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(html: str) -> str:
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    return " ".join(parser.text.split())


def test_the_page_states_the_boost_beside_its_control() -> None:
    found = control(ROWS)
    assert found is not None
    text = text_of(page.render(report(*ROWS)))
    assert control_sentence(found) in text
    assert "boost over selffer+ = transfer+ - selffer+" in text
    assert "4 networks, of which 2 are complete and 1 stalled" in text
    assert "a <log> is cut off" in text  # escaped: the parser saw no tag


def test_the_page_shows_verdict_groups_and_names_of_cuts() -> None:
    html = page.render(report(*ROWS, *NAMED))
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


def test_figures_of_further_groups_share_the_captions(tmp_path: Path) -> None:
    rows = [*ROWS, *NAMED]
    drawn = draw_all(rows)
    assert list(drawn) == ["figure2", "figure2-pets", "figure3"]
    made = report(*rows, folder=tmp_path, figures=tuple(drawn))
    for name in drawn:
        made.folder.figure(name, "svg").write_text("<svg/>")
    captions = re.findall("<figcaption>(.*?)</figcaption>", page.render(made), re.S)
    assert [" ".join(caption.split())[:21] for caption in captions] == [
        "Figure 2. Above: ever", "Split pets: Figure 2.", "Figure 3. Dissimilar ",
    ]  # fmt: skip


def test_nothing_to_decompose_no_table_of_effects() -> None:
    html = page.render(report(ROWS[0]))
    assert "boost" not in text_of(html)
    assert html.count("<table") == 1


def test_a_report_from_logs_is_one_page_with_its_figures(tmp_path: Path) -> None:
    for name, scores in {"half0B": [0.5, 0.6], "transfer0A0B_1_2": [0.4, 0.5]}.items():
        network(tmp_path / "results", name, log([3, 2], scores))
    made = make_report(tmp_path, tmp_path / "report")
    html = made.folder.page.read_text()
    assert made.figures == ("figure2",)
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert base64.b64decode(data) == made.folder.figure("figure2", "svg").read_bytes()
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "transfer0A0B_1_2" in text_of(html)
