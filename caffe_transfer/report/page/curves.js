"use strict";
// The learning curves of networks, in a dialog: accuracy and loss, each try by itself.

const FEW = 30; // points of a curve that are shown as dots too: a single one has no line

// The networks to draw: those asked for, and the same of other runs and of the published results.
function recordsOf(run, names) {
  const sources = [
    ...DATA.runs.map((each, number) => ({
      label: DATA.runs.length > 1 ? each.label : "", networks: each.networks, own: number === run,
    })),
    { label: "published", networks: DATA.published, own: false },
  ].sort((a, b) => b.own - a.own);
  return names.flatMap((name) => sources.filter(({ networks }) => networks[name])
    .map(({ label, networks }) => ({ name, label, ...networks[name] })));
}

function tracesOf(records, several) {
  return records.flatMap((record) => record.tries.map((each, number) => ({
    ...each,
    published: record.label === "published",
    label: [several ? record.name : "", record.label,
      record.tries.length > 1 || !record.label && !several ? each.name : ""]
      .filter(Boolean).join(", "),
  })));
}

const pointsOf = (traces, quantity) => traces.flatMap((trace) =>
  trace[quantity][0].map((iteration, i) => ({
    iteration, value: trace[quantity][1][i] ?? NaN, label: trace.label, quantity,
  })));

function chart(traces, width, title, layers, unit) {
  const palette = d3.schemeObservable10;
  const labels = [...new Set(traces.map((trace) => trace.label))];
  const gray = new Set(traces.filter((trace) => trace.published).map((trace) => trace.label));
  const colors = labels.map((label, i) => (gray.has(label) ? "var(--published)" : palette[i % 10]));
  const points = layers.flatMap(({ quantity }) => pointsOf(traces, quantity));
  if (!points.length) return null;
  const marks = layers.map(({ quantity, ...look }) => {
    const few = traces.every((trace) => trace[quantity][0].length <= FEW);
    return Plot.line(pointsOf(traces, quantity), {
      x: "iteration", y: "value", stroke: "label", z: "label", marker: few ? "dot" : "none",
      ...look,
    });
  });
  const say = (p) => `${p.label}\n${title(p.quantity)} ${unit(p.value)}\niteration ${p.iteration}`;
  return Plot.plot({
    width, height: Math.round(Math.max(240, width * 0.6)),
    marginLeft: 46, marginTop: 28, marginBottom: 40,
    style: { background: "none", fontSize: "12px" },
    x: { label: "iteration →", labelArrow: false, nice: true, ticks: Math.max(3, width / 90),
      tickFormat: (n) => (n >= 1000 ? `${n / 1000}k` : `${n}`) },
    y: { grid: true, label: `↑ ${title()}`, labelArrow: false, nice: true,
      tickFormat: layers.length === 1 ? (y) => d3.format("~f")(+(100 * y).toFixed(6)) : undefined },
    color: { domain: labels, range: colors },
    marks: [...marks, Plot.tip(points.filter((p) => !Number.isNaN(p.value)), Plot.pointer({
      x: "iteration", y: "value", title: say, fill: "var(--paper)", stroke: "var(--rule)",
    }))],
  });
}

function drawCurves(body, traces) {
  const holders = [make("div"), make("div")];
  const key = make("div", { class: "legend" });
  const labels = [...new Set(traces.map((trace) => trace.label))];
  key.append(...labels.map((label, i) => make("span", {}, swatch({ symbol: "square",
    color: traces.some((t) => t.label === label && t.published) ? "var(--published)"
      : d3.schemeObservable10[i % 10] }), label)));
  body.append(key, make("div", { class: "charts" }, ...holders));
  drawnAtWidth(holders[0], (width) => {
    const accuracy = chart(traces, width, () => "validation accuracy, %",
      [{ quantity: "accuracy" }], (value) => percent(value));
    const name = { train: "training loss", valid: "validation loss" };
    const loss = chart(traces, width, (quantity) => name[quantity] ?? "loss", [
      { quantity: "train", strokeWidth: 1, strokeOpacity: 0.6 },
      { quantity: "valid", strokeWidth: 2 },
    ], (value) => value.toPrecision(4));
    holders[0].replaceChildren(accuracy ?? "No test is in the logs.");
    holders[1].replaceChildren(loss ?? "No loss is in the logs.",
      loss ? make("div", { class: "soft" }, "thin: training loss; bold: validation loss") : "");
  });
}

function openCurves(run, names, title) {
  hideTip();
  const dialog = document.getElementById("curves");
  const body = document.getElementById("curves-body");
  const records = recordsOf(run, names);
  document.getElementById("curves-title").textContent = title;
  body.replaceChildren();
  dialog.showModal();
  dialog.scrollTop = 0;
  const traces = tracesOf(records, names.length > 1);
  if (traces.length) drawCurves(body, traces);
  else body.append(make("p", {}, "There are no logs to draw learning curves of."));
  if (names.length > 1) {
    body.append(factsList(records.map((record) => [
      [record.name, record.label].filter(Boolean).join(", "),
      record.numbers.filter(([label]) => label === "top-1").map(([, value]) => value).join(),
    ])));
    return;
  }
  for (const record of records) {
    if (records.length > 1) body.append(make("h3", {}, record.label || "this run"));
    body.append(factsList([["kind", record.kind], ...record.numbers, ...record.facts]));
  }
}
