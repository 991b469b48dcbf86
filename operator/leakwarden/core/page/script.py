"""The page's script: zooming into a flame graph, by touch, mouse and keyboard. Without it all is there, unzoomed.

Text only ever goes into `textContent` and attributes, never through a parser.
"""

from __future__ import annotations

SCRIPT = """
"use strict";
for (const figure of document.querySelectorAll(".flame-figure")) {
  const bar = figure.querySelector(".flame-bar");
  const told = figure.querySelector(".told");
  const reset = figure.querySelector(".reset");
  const boxes = Array.from(figure.querySelectorAll(".flame > .box"), (node) => ({
    node,
    x: parseFloat(node.getAttribute("x")),
    width: parseFloat(node.getAttribute("width")),
    y: parseFloat(node.getAttribute("y")),
    text: node.querySelector("title").textContent,
  }));
  const slack = 1e-2;
  const inside = (a, b) => a.x >= b.x - slack && a.x + a.width <= b.x + b.width + slack;
  const shown = (box) => !box.node.classList.contains("away");

  const zoom = (to) => {
    for (const box of boxes) {
      const above = box.y < to.y && inside(to, box);
      const visible = above || (box.y >= to.y && inside(box, to));
      box.node.classList.toggle("away", !visible);
      box.node.classList.toggle("above", above);
      if (visible) {
        box.node.setAttribute("x", above ? "0%" : ((box.x - to.x) / to.width) * 100 + "%");
        box.node.setAttribute("width", above ? "100%" : Math.min(100, (box.width / to.width) * 100) + "%");
      }
    }
    reset.disabled = to === boxes[0];
    told.textContent = to.text;
  };
  const focus = (box) => {
    if (!box) return;
    for (const other of boxes) other.node.setAttribute("tabindex", other === box ? "0" : "-1");
    box.node.focus();
  };
  const beside = (box, direction) => {
    const row = boxes.filter((other) => other.y === box.y && shown(other));
    return row[row.indexOf(box) + direction];
  };
  const keys = {
    ArrowDown: (box) => boxes.find((other) => other.y > box.y && shown(other) && inside(other, box)),
    ArrowUp: (box) => boxes.filter((other) => other.y < box.y && inside(box, other)).pop(),
    ArrowLeft: (box) => beside(box, -1),
    ArrowRight: (box) => beside(box, 1),
  };

  boxes.forEach((box, number) => {
    box.node.setAttribute("tabindex", number ? "-1" : "0");
    box.node.setAttribute("role", "button");
    box.node.setAttribute("aria-label", box.text);
    box.node.addEventListener("click", () => zoom(box));
    box.node.addEventListener("focus", () => { told.textContent = box.text; });
    box.node.addEventListener("pointerenter", () => { told.textContent = box.text; });
    box.node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") zoom(box);
      else if (event.key === "Escape") zoom(boxes[0]);
      else if (keys[event.key]) focus(keys[event.key](box));
      else return;
      event.preventDefault();
    });
  });
  const find = figure.querySelector(".find");
  const suspects = boxes.filter((box) => box.node.classList.contains("suspect")).sort((a, b) => b.width - a.width);
  if (find) find.addEventListener("click", () => zoom(suspects[0]));
  reset.addEventListener("click", () => zoom(boxes[0]));
  bar.hidden = false;
}
"""
