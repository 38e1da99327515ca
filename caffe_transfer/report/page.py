"""The report as one page that needs no other file."""

import base64
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import jinja2

from caffe_transfer.report import decomposition
from caffe_transfer.report.decomposition import Effects
from caffe_transfer.report.results import Row

if TYPE_CHECKING:
    from caffe_transfer.report.make import Report

ROW_COLUMNS = (
    "network", "n", "top-1", "last", "validation loss", "training loss", "iterations", "state",
)  # fmt: skip
_CAPTIONS = {
    "figure2": "Figure 2. Above: every network. Below: the means, and what the drops are due to.",
    "figure3": "Figure 3. Dissimilar tasks and random filters, and both relative to their bases.",
    "reduced": "The supplement's figure: fewer training images of each class.",
    "preserved": "Layers above the frozen ones kept and fine-tuned.",
}
_TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>How transferable are features? Report</title>
<style>
:root { color-scheme: light dark; --ink: #1c1c1e; --paper: #fdfdfc; --soft: #6b6b70;
  --rule: #dcdcd8; --band: #f4f4f1; --warn: #a33c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --paper: #17181a; --soft: #a0a0a4;
  --rule: #38393c; --band: #202124; --warn: #ffa36b; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.6rem; }
p.soft, figcaption { color: var(--soft); }
figure { margin: 1.5rem 0; text-align: center; }
figure img { max-width: 100%; height: auto; background: white; border: 1px solid var(--rule);
  border-radius: 6px; padding: .6rem; box-sizing: border-box; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums;
  width: 100%; }
th, td { padding: .28rem .7rem; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
.numbers th:last-child, .numbers td:last-child { text-align: right; }
tbody tr:nth-child(even) { background: var(--band); }
tr.average td { font-weight: 600; }
td.state, .problems { color: var(--warn); }
a { color: inherit; }
</style>
</head>
<body>
<h1>How transferable are features?</h1>
<p class="soft">{{ rows | length }} networks, of which {{ complete }} are complete
{%- if stalled %} and {{ stalled }} stalled at the loss of guessing{% endif %}.
Top-1 is the mean of the ten highest validation accuracies, losses are the means of the ten
lowest.</p>
{% for figure in figures %}
<figure><img alt="{{ figure.caption }}" src="data:image/svg+xml;base64,{{ figure.data }}">
<figcaption>{{ figure.caption }}</figcaption></figure>
{% endfor %}
{% if effects %}
<h2>What the drops are due to</h2>
<p class="soft">In percent, means over the random splits. Lost co-adaptation = base - selffer;
specificity = selffer - transfer; boost = transfer<sup>+</sup> - base. The last rows are over all
networks with those n (Table 1 of the paper).</p>
<div class="scroll"><table class="numbers"><thead><tr>
{%- for name in effect_columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for cells in effects %}<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
{%- for cells in averages %}<tr class="average">
{%- for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endif %}
<h2>Networks</h2>
<div class="scroll"><table><thead><tr>
{%- for name in row_columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for cells in rows %}<tr>{% for cell in cells[:-1] %}<td>{{ cell }}</td>{% endfor -%}
<td class="state">{{ cells[-1] }}</td></tr>
{% endfor %}</tbody></table></div>
{% if problems %}
<h2>Left out</h2>
<ul class="problems">
{% for problem in problems %}<li>{{ problem }}</li>
{% endfor %}</ul>
{% endif %}
</body>
</html>
"""


def render(report: "Report") -> str:
    """The page; its figures are read from the report's folder."""
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return template.from_string(_TEMPLATE).render(
        rows=[row_cells(row) for row in report.rows],
        row_columns=ROW_COLUMNS,
        complete=sum(row.complete is True for row in report.rows),
        stalled=sum(row.stalled is True for row in report.rows),
        effects=[decomposition.cells(effect) for effect in report.effects],
        averages=[decomposition.cells(effect) for effect in report.averages],
        effect_columns=list(decomposition.COLUMNS),
        figures=[
            {
                "caption": _CAPTIONS[name],
                "data": base64.b64encode(report.folder.figure(name, "svg").read_bytes()).decode(),
            }
            for name in report.figures
        ],
        problems=report.problems,
    )


def markdown(report: "Report") -> str:
    """The page's tables in Markdown."""
    parts = []
    if report.effects:
        parts += [
            "# What the drops are due to\n",
            "Top-1 accuracy and differences in percent, means over the random splits: lost",
            "co-adaptation = base - selffer, specificity = selffer - transfer,",
            "boost = transfer+ - base.\n",
            _effects_table(report.effects),
            "Over all networks with these n (the paper's table 1):\n",
            _effects_table(report.averages),
        ]
    rows = [row_cells(row) for row in report.rows]
    numbers = len(ROW_COLUMNS) - 2
    parts += [
        "# Networks\n",
        _markdown_table(ROW_COLUMNS, ["---", *["---:"] * numbers, "---"], rows),
    ]
    return "\n".join(parts)


def row_cells(row: Row) -> list[str]:
    """One network for people: accuracies in percent, nothing where a value is missing."""
    return [
        row.network.name,
        str(row.network.n or ""),
        *("" if value is None else f"{100 * value:.2f}" for value in (row.top1, row.top1_last)),
        *("" if value is None else f"{value:.4g}" for value in (row.valid_loss, row.train_loss)),
        str(row.iterations),
        _state(row),
    ]


def _state(row: Row) -> str:
    """What is not as it should be."""
    notes = []
    if row.complete is False:
        notes.append("not complete")
    if row.top1 is None:
        notes.append("no scores")
    if row.stalled:
        notes.append("stalled")
    return ", ".join(notes)


def _effects_table(effects: Sequence[Effects]) -> str:
    columns = list(decomposition.COLUMNS)
    return _markdown_table(columns, ["---:"] * len(columns), map(decomposition.cells, effects))


def _markdown_table(
    columns: Sequence[str], aligned: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, aligned, *rows))
