"""The report as one HTML page that needs no other file, no server and no network."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2

from caffe_transfer.report import groups, tables, verdict_text
from caffe_transfer.report.page.data import (
    Published,
    Run,
    as_json,
    caption,
    is_interactive,
    page_data,
)
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict import Variant

_OWN = files("caffe_transfer.report.page")
_LIBRARIES = {"d3": "d3.min.js", "plot": "plot.umd.min.js"}
_SCRIPTS = ("page.js", "charts.js", "curves.js", "table.js")


def render(runs: Sequence[Run], published: Published | None = None, bare: bool = False) -> str:
    """The page of one run, or of several side by side.

    `bare` hides the intervals in the figures, until the reader asks for them.

    Figures that the page does not draw itself are read from each report's folder and embedded.
    """
    published = published or Published()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_text("page.html.j2")).render(
        runs=[_run(run) for run in runs],
        text_columns=(*tables.TEXT_COLUMNS, "run"),
        verdict_caption=verdict_text.CAPTION,
        findings_caption=tables.FINDINGS_CAPTION,
        effects_caption=tables.EFFECTS_CAPTION,
        ranges_caption=tables.RANGES_CAPTION,
        networks=_networks(runs, published.rows),
        charts=_charts(runs),
        data=as_json(page_data(runs, published, bare)),
        style=_text("page.css"),
        libraries=[_library(name) for name in _LIBRARIES],
        scripts=[_text(name) for name in _SCRIPTS],
    )


def _run(run: Run) -> dict[str, Any]:
    report = run.report
    return {
        "label": run.label,
        "count": len(report.rows),
        "complete": report.complete,
        "stalled": len(report.stalled),
        "asked": run.provenance,
        "verdicts": [
            {
                "heading": verdict_text.heading(verdict),
                "sentences": verdict_text.sentences(verdict),
                "table": tables.verdict_table(verdict),
            }
            for verdict in report.verdicts
        ],
        "decompositions": [
            {
                "title": groups.title(each.group),
                "control": tables.control_sentence(each.control) if each.control else "",
                "table": tables.effect_table(each),
                "basis": tables.effects_basis(each),
                "averages": len(each.averages),
            }
            for each in report.decompositions
        ],
        "findings": [
            {"title": groups.title(each.group), "findings": each.findings}
            for each in report.findings
        ],
        "notes": tables.notes(report),
        "figures": [
            {
                "caption": caption(name),
                "data": base64.b64encode(report.folder.figure(name, "svg").read_bytes()).decode(),
            }
            for name in report.figures
            if not is_interactive(name)
        ],
        "problems": report.problems,
    }


def _charts(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Name and caption of each figure that the page draws, of any run."""
    names = {name: None for run in runs for name in run.report.figures if is_interactive(name)}
    return [{"key": name, "caption": caption(name)} for name in names]


def _networks(runs: Sequence[Run], published: Sequence[Row]) -> dict[str, Any]:
    """The table of all networks: run where there are several, own against published where any is.

    Each row knows its run's number, its name, kind and n, by which the page filters.
    """
    rows = [(number, row) for number, run in enumerate(runs) for row in run.report.rows]
    table = tables.row_table([row for _, row in rows])
    theirs = {row.network.name: row.score for row in published}
    first = ("run",) if len(runs) > 1 else ()
    last = ("published", "difference") if theirs else ()
    return {
        "columns": (*first, *table.columns, *last),
        "kinds": list(dict.fromkeys(Variant.of(row.network).label for _, row in rows)),
        "cuts": sorted({row.network.n for _, row in rows if row.network.n}),
        "rows": [
            {
                "run": number,
                "name": row.network.name,
                "kind": Variant.of(row.network).label,
                "n": row.network.n,
                "cells": (
                    *((runs[number].label,) if first else ()),
                    *cells,
                    *(_against(row.score, theirs.get(row.network.name)) if last else ()),
                ),
            }
            for (number, row), cells in zip(rows, table.rows, strict=True)
        ],
    }


def _against(own: float | None, published: float | None) -> tuple[str, str]:
    """The cells of the published accuracy, and of one's own less that."""
    difference = None if own is None or published is None else own - published
    return tables.percent(published), "" if difference is None else f"{100 * difference:+.2f}"


def _text(name: str) -> str:
    return (_OWN / name).read_text(encoding="utf-8")


def _library(name: str) -> dict[str, str]:
    """A library's script, and the licence that has to go with each copy of it."""
    return {
        "licence": _text(f"vendor/{name}.LICENSE.txt"),
        "script": _text(f"vendor/{_LIBRARIES[name]}"),
    }
