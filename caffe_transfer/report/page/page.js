"use strict";
// What the other scripts share: the data, elements, numbers as text, light and dark.

const DATA = JSON.parse(document.getElementById("data").textContent);

// An element with attributes and children; text becomes text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const percent = (share) => (100 * share).toFixed(2);

function factsList(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [label, value] of pairs) {
    list.append(make("div", {}, make("dt", {}, label), make("dd", {}, value)));
  }
  return list;
}

// Calls draw at once and whenever the element's width changes, as on a phone that is turned.
function drawnAtWidth(element, draw) {
  let width = 0;
  const update = () => {
    const now = Math.floor(element.getBoundingClientRect().width);
    if (now > 0 && Math.abs(now - width) > 4) draw((width = now));
  };
  update();
  new ResizeObserver(update).observe(element);
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.style.colorScheme || (dark ? "dark" : "light");
  root.style.colorScheme = now === "dark" ? "light" : "dark";
});
