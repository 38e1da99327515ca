"use strict";
// The table of networks: sorted by a click on a column's name, filtered by text, run, kind and n.

const TABLE = document.getElementById("networks");
const FILTERS = document.getElementById("filters");
const ROWS = [...TABLE.tBodies[0].rows];

// Numbers by value, what is no number by its letters, the empty last in either direction.
function compareCells(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [parseFloat(a), parseFloat(b)];
  const isNumber = /^[-+]?[\d.]/.test(a) && /^[-+]?[\d.]/.test(b);
  return direction * (isNumber && x !== y ? x - y : a.localeCompare(b, "en", { numeric: true }));
}

function sortBy(column, direction) {
  const text = (row) => row.cells[column].textContent;
  ROWS.sort((a, b) => compareCells(text(a), text(b), direction));
  TABLE.tBodies[0].append(...ROWS);
  [...TABLE.tHead.rows[0].cells].forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
  filter();
}

function filter() {
  const wanted = Object.fromEntries(new FormData(FILTERS));
  const text = (wanted.text || "").toLowerCase();
  let shown = 0;
  for (const row of ROWS) {
    const fits = row.textContent.toLowerCase().includes(text)
      && ["run", "kind", "n"].every((key) => !wanted[key] || row.dataset[key] === wanted[key]);
    row.hidden = !fits;
    if (fits) row.classList.toggle("odd", shown++ % 2 === 1);
  }
  document.getElementById("shown").textContent = `${shown} of ${ROWS.length}`;
}

[...TABLE.tHead.rows[0].cells].forEach((head, column) => {
  const button = make("button", { type: "button" }, head.textContent);
  button.addEventListener("click", () =>
    sortBy(column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1));
  head.replaceChildren(button);
});

for (const row of ROWS) {
  const cell = [...row.cells].find((each) => each.textContent === row.dataset.name);
  const button = make("button", { type: "button" }, row.dataset.name);
  button.addEventListener("click", () =>
    openCurves(Number(row.dataset.run), [row.dataset.name], row.dataset.name));
  cell.replaceChildren(button);
}

for (const event of ["input", "change"]) FILTERS.addEventListener(event, filter);
FILTERS.addEventListener("submit", (event) => event.preventDefault());
filter();
