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
  const plot = Plot.plot({
    width, height: Math.round(Math.max(240, width * 0.6)),
    marginLeft: 46, marginTop: 28, marginBottom: 40,
    style: { background: "none", fontSize: "12px" },
    x: { label: "iteration →", labelArrow: false, nice: true, ticks: Math.max(3, width / 90),
      tickFormat: (n) => (n >= 1000 ? `${n / 1000}k` : `${n}`) },
    y: { grid: true, label: `↑ ${title()}`, labelArrow: false, nice: true,
      tickFormat: layers.length === 1 ? (y) => d3.format("~f")(+(100 * y).toFixed(6)) : undefined },
    color: { domain: labels, range: colors },
    marks,
  });
  const say = (p) => [p.label, `${title(p.quantity)} ${unit(p.value)}`, `iteration ${p.iteration}`];
  return makeCurvesAnswer(plot, points.filter((p) => !Number.isNaN(p.value)), title(), say);
}

// ---- pointer and keyboard: a chart shows one point at a time

// The chart with a box for what its point says; the point moves with the pointer and arrow keys.
function makeCurvesAnswer(plot, points, title, say) {
  const [x, y] = ["x", "y"].map((name) => plot.scale(name).apply);
  const placed = points.map((p) => ({ ...p, at: [x(p.iteration), y(p.value)] }));
  const curves = d3.groups(placed, (p) => `${p.label}\n${p.quantity}`).map(([, curve]) => curve);
  const dot = d3.select(plot).append("circle").attr("class", "at").attr("r", 5);
  const box = make("div", { class: "tip" });
  let current = placed[0];
  const hide = () => {
    dot.attr("display", "none");
    box.hidden = true;
  };
  hide();
  const show = (point) => {
    current = point;
    const [first, ...rest] = say(point);
    plot.setAttribute("aria-valuenow", point.iteration);
    plot.setAttribute("aria-valuetext", [first, ...rest].join(", "));
    dot.attr("display", null).attr("cx", point.at[0]).attr("cy", point.at[1]);
    box.replaceChildren(make("b", {}, first), ...rest.map((line) => make("div", {}, line)));
    box.hidden = false;
    placeBeside(box, point.at, plot, point.quantity === "accuracy");
  };
  plot.setAttribute("tabindex", 0);
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-label", `${title}: ${placed.length} points, by arrow keys`);
  plot.setAttribute("aria-valuemin", d3.min(placed, (p) => p.iteration));
  plot.setAttribute("aria-valuemax", d3.max(placed, (p) => p.iteration));
  plot.addEventListener("focus", () => show(current));
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const next = neighbours(curves, current);
    if (!(event.key in next)) return;
    event.preventDefault();
    if (next[event.key]) show(next[event.key]);
  });
  const point = (event) => {
    const [left, top] = d3.pointer(event, plot);
    const distance = ({ at }) => Math.hypot(at[0] - left, at[1] - top);
    const near = d3.least(placed, distance);
    if (distance(near) <= REACH) show(near);
    else if (document.activeElement !== plot) hide();
  };
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point); // a finger that only taps
  plot.addEventListener("pointerleave", () => document.activeElement === plot || hide());
  return make("div", { class: "answers" }, plot, box);
}

// The points that each key leads to: along a curve, and to the curves above and below.
function neighbours(curves, point) {
  const along = curves.find((curve) => curve.includes(point));
  const at = along.indexOf(point);
  const column = curves.map((curve) => (curve === along ? point
    : d3.least(curve, (p) => Math.abs(p.iteration - point.iteration))))
    .sort((a, b) => a.value - b.value);
  const row = column.indexOf(point);
  return {
    ArrowRight: along[at + 1], ArrowLeft: along[at - 1], Home: along[0], End: along.at(-1),
    ArrowUp: column[row + 1], ArrowDown: column[row - 1],
  };
}

// To the right of a point, on the side that curves leave free: under those that rise.
function placeBeside(box, [left, top], chart, rises) {
  const gap = 12;
  const [right, bottom] = [chart.clientWidth - box.offsetWidth, chart.clientHeight - box.offsetHeight];
  const across = Math.min(left + gap, right);
  const down = rises ? Math.min(top + gap, bottom) : top - box.offsetHeight - gap;
  box.style.left = `${Math.max(0, across)}px`;
  box.style.top = `${Math.max(0, down)}px`;
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
    const focused = holders.findIndex((holder) => holder.contains(document.activeElement));
    const accuracy = chart(traces, width,
      (quantity) => `validation accuracy${quantity ? "" : ", %"}`,
      [{ quantity: "accuracy" }], (value) => `${percent(value)} %`);
    const name = { train: "training loss", valid: "validation loss" };
    const loss = chart(traces, width, (quantity) => name[quantity] ?? "loss", [
      { quantity: "train", strokeWidth: 1, strokeOpacity: 0.6 },
      { quantity: "valid", strokeWidth: 2 },
    ], (value) => value.toPrecision(4));
    holders[0].replaceChildren(accuracy ?? "No test is in the logs.");
    holders[1].replaceChildren(loss ?? "No loss is in the logs.",
      loss ? make("div", { class: "soft" }, "thin: training loss; bold: validation loss") : "");
    holders[focused]?.querySelector("svg")?.focus();
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
