"""The report as one HTML page that needs no other file."""

import base64
from importlib.resources import files

import jinja2

from caffe_transfer.report import groups, tables, verdict_text
from caffe_transfer.report.contents import Report

_CAPTIONS = {
    "figure2": "Figure 2. Above: every network. Below: the means, and what the drops are due to; "
    "the boost is over the base, and fine-tuned selffers are its control.",
    "figure3": "Figure 3. Dissimilar tasks and random filters, and both relative to their bases.",
    "reduced": "The supplement's figure: fewer training images per class.",
    "preserved": "Layers above the frozen ones kept and fine-tuned.",
}


def render(report: Report) -> str:
    """The page; its figures are read from the report's folder and embedded."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = (files("caffe_transfer.report") / "page.html.j2").read_text()
    return environment.from_string(template).render(
        complete=report.complete,
        stalled=len(report.stalled),
        verdicts=[
            {
                "heading": verdict_text.heading(verdict),
                "sentences": verdict_text.sentences(verdict),
                "table": tables.verdict_table(verdict),
            }
            for verdict in report.verdicts
        ],
        text_columns=tables.TEXT_COLUMNS,
        verdict_caption=verdict_text.CAPTION,
        decompositions=[
            {
                "title": groups.title(each.group),
                "control": tables.control_sentence(each.control) if each.control else "",
                "table": tables.effect_table(each),
                "averages": len(each.averages),
            }
            for each in report.decompositions
        ],
        figures=[
            {"caption": _caption(name), "data": _base64_svg(report, name)}
            for name in report.figures
        ],
        networks=tables.row_table(report.rows),
        problems=report.problems,
    )


def _caption(name: str) -> str:
    """The caption of a figure, which figure2-pets shares with figure2."""
    kind, _, group = name.partition("-")
    return f"{groups.title(group)}: {_CAPTIONS[kind]}" if group else _CAPTIONS[kind]


def _base64_svg(report: Report, name: str) -> str:
    return base64.b64encode(report.folder.figure(name, "svg").read_bytes()).decode()
