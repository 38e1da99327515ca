"""The report as one HTML page that needs no other file."""

import base64
from importlib.resources import files

import jinja2

from caffe_transfer.report import tables
from caffe_transfer.report.tables import Report

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
        rows=[tables.row_cells(row) for row in report.rows],
        row_columns=tables.ROW_COLUMNS,
        complete=report.complete,
        stalled=len(report.stalled),
        effects=[tables.effect_cells(effect) for effect in report.effects],
        averages=[tables.effect_cells(effect) for effect in report.averages],
        effect_columns=tables.EFFECT_COLUMNS,
        control=tables.control_sentence(report.control) if report.control else "",
        figures=[
            {"caption": _CAPTIONS[name], "data": _base64_svg(report, name)}
            for name in report.figures
        ],
        problems=report.problems,
    )


def _base64_svg(report: Report, name: str) -> str:
    return base64.b64encode(report.folder.figure(name, "svg").read_bytes()).decode()
