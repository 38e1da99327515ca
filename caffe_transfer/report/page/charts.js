"use strict";
// The figures: drawn by Observable Plot, then each mark made to answer to pointer and keyboard.

const LOOKS = {
  base: { color: "var(--base)", symbol: "circle", hollow: true },
  selffer: { color: "var(--selffer)", symbol: "circle" },
  "selffer-plus": { color: "var(--selffer)", symbol: "circle", hollow: true, dash: "5 3" },
  transfer: { color: "var(--transfer)", symbol: "diamond" },
  "transfer-plus": { color: "var(--transfer)", symbol: "diamond", hollow: true, dash: "5 3" },
  random: { color: "var(--random)", symbol: "triangle" },
  ...Object.fromEntries(["square", "star", "hexagon", "wye", "cross"].map((symbol, i) => [
    `split${i}`, { color: `var(--split${i})`, symbol },
  ])),
};
const INTERVALS = "95 % intervals";
const STRETCH = 0.6; // of what the points take, at either end, for intervals
const REACH = 28; // pixels around a mark within which the pointer finds it

const lookOf = (series) => series.published
  ? { ...LOOKS[series.look], color: "var(--published)" } : LOOKS[series.look];
const keyOf = (series) => (series.published ? "published" : series.label);

// ---- drawing

function marksOf(panel, hidden, [bottom, top]) {
  const marks = panel.areas.map((area) => Plot.differenceY(area.edges, {
    x: (edge) => edge[0], y1: (edge) => edge[2], y2: (edge) => edge[1], clip: "frame",
    positiveFill: `var(--${area.look})`, positiveFillOpacity: 1, negativeFill: "none",
    stroke: "none",
  }));
  if (panel.level !== null) {
    marks.push(Plot.ruleY([panel.level], { stroke: "var(--soft)", strokeDasharray: "4 3" }));
  }
  const dots = [];
  for (const series of panel.series) {
    if (hidden.has(keyOf(series))) continue;
    const look = lookOf(series);
    const points = series.points.filter((p) => p.y !== null && p.y >= bottom && p.y <= top);
    if (series.line.length) {
      marks.push(Plot.line(series.line, {
        x: (at) => at[0], y: (at) => at[1], stroke: look.color, strokeDasharray: look.dash,
        strokeWidth: series.published ? 1 : 1.5, clip: "frame",
      }));
    }
    const known = points.filter((p) => p.low !== null && !hidden.has(INTERVALS));
    marks.push(Plot.ruleX(known, {
      x: (p) => p.x + series.shift, y1: "low", y2: "high", stroke: look.color,
      strokeOpacity: 0.55, clip: "frame", className: "interval",
    }));
    dots.push({ series, points });
    marks.push(Plot.dot(points, {
      x: "x", y: "y", symbol: look.symbol, r: series.look === "base" ? 5 : 4, stroke: look.color,
      fill: look.hollow ? "var(--paper)" : look.color, strokeWidth: 1.5,
      className: `dots dots-${dots.length - 1}`,
    }));
  }
  return { marks, dots };
}

function drawPanel(panel, width, domain, hidden) {
  const { marks, dots } = marksOf(panel, hidden, domain);
  const names = Object.values(panel.cuts);
  const room = (width - 60) / (panel.last + 1);
  const fits = names.length > 0 && Math.max(...names.map((name) => name.length)) * 6 < room;
  const every = Math.ceil(22 / room);
  const plot = Plot.plot({
    width, height: Math.round(Math.min(420, Math.max(260, width * 0.5))), marginLeft: 44,
    marginRight: 8, marginBottom: fits ? 50 : 38, style: { background: "none", fontSize: "12px" },
    x: {
      domain: [-0.45, panel.last + 0.5], label: "layer n at which the network is cut →",
      ticks: d3.range(0, panel.last + 1, every), labelAnchor: "right", labelArrow: false,
      tickFormat: (n) => `${n || "base"}${fits && panel.cuts[n] ? `\n${panel.cuts[n]}` : ""}`,
    },
    y: { domain, grid: true, ticks: 7, label: `↑ ${panel.y_label}, %`, labelArrow: false,
      tickFormat: (y) => d3.format("~f")(+(100 * y).toFixed(6)) },
    marks,
  });
  return { plot, dots };
}

// One scale for a panel of all runs, so that runs can be compared by eye.
function domainOf(panels) {
  const points = panels.flatMap((panel) => panel.series.flatMap((series) => series.points))
    .filter((point) => point.y !== null);
  const given = panels.filter((panel) => panel.bottom !== null);
  const [low, high] = given.length
    ? [d3.min(given, (panel) => panel.bottom), d3.max(given, (panel) => panel.top)]
    : d3.extent([...panels.map((panel) => panel.level).filter((level) => level !== null),
      ...points.map((point) => point.y)]);
  // The interval of two repeats can be many times as long as all that the points take.
  const room = STRETCH * (high - low || 0.1);
  const inside = points.filter((point) => point.y >= low && point.y <= high);
  const bottom = Math.max(low - room, Math.min(low, d3.min(inside, (p) => p.low ?? low)));
  const top = Math.min(high + room, Math.max(high, d3.max(inside, (p) => p.high ?? high)));
  const pad = 0.04 * (top - bottom || 0.1);
  return [bottom - pad, top + pad];
}

// ---- what a mark says

function describe({ point, series, panel, run }) {
  const name = point.networks.length === 1 ? point.networks[0] : `mean of ${point.networks.length}`;
  const known = networksOf(run, series.published)[point.networks[0]];
  const paper = point.networks.length === 1 && known && known.paper !== name ? known.paper : "";
  const cut = panel.cuts[point.n];
  return {
    title: [series.published ? "published" : "", paper, name].filter(Boolean).join(" · "),
    lines: [
      `${series.label}${point.n ? `, n = ${point.n}${cut ? ` (${cut})` : ""}` : ""}`,
      ...point.text.split("; "),
    ],
  };
}

const networksOf = (run, published) => (published ? DATA.published : DATA.runs[run].networks);

function showTip(mark) {
  const tip = document.getElementById("tip");
  const { title, lines } = describe(mark);
  tip.replaceChildren(make("b", {}, title), ...lines.map((line) => make("div", {}, line)));
  tip.hidden = false;
  const at = mark.element.getBoundingClientRect();
  const page = document.documentElement;
  const left = Math.min(at.right + 10, page.clientWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(8, left) + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : at.bottom + 8) + scrollY}px`;
}

function hideTip() {
  document.getElementById("tip").hidden = true;
}

// ---- pointer and keyboard

function makeAnswer(plot, dots, panel, run) {
  const marks = dots.flatMap(({ series, points }, number) =>
    [...plot.querySelectorAll(`.dots-${number} > *`)].map((element) => ({
      element, series, panel, run, point: points[element.__data__],
    })));
  marks.sort((a, b) => a.point.x - b.point.x || a.point.y - b.point.y);
  // One mark of a chart is in the order of Tab; the arrow keys move on from it.
  let current = null;
  const leave = () => {
    current?.element.classList.remove("at");
    hideTip();
  };
  const choose = (mark) => {
    leave();
    current?.element.setAttribute("tabindex", -1);
    current = mark;
    mark.element.classList.add("at");
    mark.element.setAttribute("tabindex", 0);
    showTip(mark);
  };
  for (const mark of marks) answerToKeys(mark, marks, choose, leave);
  if (marks.length) {
    [current] = marks;
    current.element.setAttribute("tabindex", 0);
  }
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", `${panel.title}: ${marks.length} marks, by arrow keys`);
  answerToPointer(plot, marks, choose, leave);
}

const openMark = (mark) => openCurves(mark.run, mark.point.networks, describe(mark).title);

function answerToKeys(mark, marks, choose, leave) {
  const { element } = mark;
  const { title, lines } = describe(mark);
  element.classList.add("mark");
  element.setAttribute("role", "button");
  element.setAttribute("tabindex", -1);
  element.setAttribute("aria-label", [title, ...lines].join(", "));
  element.addEventListener("focus", () => choose(mark));
  element.addEventListener("blur", leave);
  element.addEventListener("keydown", (event) => onKey(event, marks, mark));
}

function answerToPointer(plot, marks, choose, leave) {
  plot.addEventListener("pointermove", (event) => {
    const mark = nearest(marks, event);
    plot.style.cursor = mark ? "pointer" : "";
    if (mark) choose(mark);
    else leave();
  });
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("click", (event) => {
    const mark = nearest(marks, event);
    if (!mark) return;
    mark.element.focus({ preventScroll: true });
    openMark(mark);
  });
}

function nearest(marks, event) {
  const distance = ({ element }) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return Math.hypot(x + width / 2 - event.clientX, y + height / 2 - event.clientY);
  };
  const found = d3.least(marks, distance);
  return found && distance(found) <= REACH ? found : null;
}

function onKey(event, marks, mark) {
  const at = marks.indexOf(mark);
  const column = marks.filter((each) => each.point.n === mark.point.n)
    .sort((a, b) => a.point.y - b.point.y);
  const row = column.indexOf(mark);
  const next = {
    ArrowRight: marks[at + 1], ArrowLeft: marks[at - 1], ArrowUp: column[row + 1],
    ArrowDown: column[row - 1], Home: marks[0], End: marks.at(-1),
  };
  if (event.key in next) next[event.key]?.element.focus();
  else if (event.key === "Enter" || event.key === " ") openMark(mark);
  else return;
  event.preventDefault();
}

// ---- a figure: legend, and for each panel one chart a run

const BAR = {
  draw(path) {
    path.moveTo(0, -6);
    path.lineTo(0, 6);
  },
};

function swatch(look) {
  const sign = d3.create("svg").attr("viewBox", "-7 -7 14 14").attr("aria-hidden", "true");
  const shape = {
    circle: d3.symbolCircle, diamond: d3.symbolDiamond, triangle: d3.symbolTriangle,
    square: d3.symbolSquare, star: d3.symbolStar, hexagon: d3.symbolCircle, wye: d3.symbolWye,
    cross: d3.symbolCross, bar: BAR,
  }[look.symbol];
  sign.append("path").attr("d", d3.symbol(shape, 60)()).attr("stroke", look.edge ?? look.color)
    .attr("stroke-width", 1.6).attr("fill", look.hollow ? "var(--paper)" : look.color);
  return sign.node();
}

function legendOf(charts, hidden, redraw) {
  const panels = charts.flatMap(({ chart }) => chart.panels);
  const everySeries = panels.flatMap((panel) => panel.series);
  const looks = new Map();
  for (const series of everySeries) {
    if (!looks.has(keyOf(series))) looks.set(keyOf(series), lookOf(series));
  }
  if (everySeries.some((series) => series.points.some((point) => point.low !== null))) {
    looks.set(INTERVALS, { symbol: "bar", color: "var(--soft)" });
  }
  const buttons = [...looks].map(([key, look]) => {
    const shown = String(!hidden.has(key));
    const button = make("button", { type: "button", "aria-pressed": shown }, swatch(look), key);
    button.addEventListener("click", () => {
      if (!hidden.delete(key)) hidden.add(key);
      button.setAttribute("aria-pressed", String(!hidden.has(key)));
      redraw();
    });
    return button;
  });
  const areas = panels.flatMap((panel) => panel.areas);
  const labels = new Map(areas.map((area) => [area.look, area.label]));
  const shades = [...labels].map(([look, label]) => make("span", {}, swatch({
    symbol: "square", color: `var(--${look})`, edge: "var(--soft)",
  }), label));
  return [...buttons, ...shades];
}

function drawFigure(figure) {
  const charts = DATA.runs.flatMap((run, number) =>
    run.charts.filter((chart) => chart.key === figure.dataset.chart)
      .map((chart) => ({ chart, run: number })));
  const holder = figure.querySelector(".panels");
  const hidden = new Set(DATA.bare ? [INTERVALS] : []);
  const draw = (width) => {
    const columns = Math.max(1, Math.min(charts.length, Math.floor(width / 400)));
    holder.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const each = Math.floor((width - 16 * (columns - 1)) / columns);
    // Panels of a name stand beside each other: the first of all runs, then the second.
    const titles = [...new Set(charts.flatMap(({ chart }) => chart.panels.map((p) => p.title)))];
    holder.replaceChildren(...titles.flatMap((title) => {
      const those = charts.flatMap(({ chart, run }) => chart.panels
        .filter((panel) => panel.title === title).map((panel) => ({ panel, run })));
      const domain = domainOf(those.map(({ panel }) => panel));
      return those.map(({ panel, run }) => {
        const { plot, dots } = drawPanel(panel, each, domain, hidden);
        makeAnswer(plot, dots, panel, run);
        const of = DATA.runs.length > 1 ? `${DATA.runs[run].label}: ` : "";
        return make("div", { class: "panel" }, make("h4", {}, of + title), plot);
      });
    }));
  };
  const redraw = () => draw(Math.floor(holder.getBoundingClientRect().width));
  figure.querySelector(".legend").replaceChildren(...legendOf(charts, hidden, redraw));
  drawnAtWidth(holder, draw);
}

document.querySelectorAll("figure.chart").forEach(drawFigure);
