// SPDX-License-Identifier: Apache-2.0
// Small pictures as SVG: a curve without axes, and stacked bars.

import { svg } from "./dom";

const WIDTH = 120;
const HEIGHT = 36;

/** A spark line from zero up; `label` says in words what it shows. */
export function spark(values: readonly number[], label: string): SVGElement {
  const top = Math.max(...values, 1);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)} ${(HEIGHT - (HEIGHT - 2) * (Math.max(0, value) / top)).toFixed(1)}`);
  const curve = `M ${points.join(" L ")}`;
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("path", { class: "area", d: `${curve} L ${WIDTH} ${HEIGHT} L 0 ${HEIGHT} Z` }),
    svg("path", { class: "curve", d: curve }),
  );
}

export interface Bar {
  label: string;
  /** Said when the bar is pointed at. */
  title: string;
  /** From the bottom up. */
  parts: readonly { amount: number; colour: string }[];
}

const BOX = { height: 230, left: 70, bottom: 24, top: 8, widest: 90 };

/** Stacked bars over a common zero, with a few lines of a scale, as wide as `host` is now and whenever that changes. */
export function bars(host: HTMLElement, columns: readonly Bar[], label: string, unit: (amount: number) => string): void {
  let width = 0;
  const draw = () => {
    const wanted = Math.max(280, host.clientWidth);
    if (wanted === width) return;
    width = wanted;
    host.replaceChildren(drawBars(columns, label, unit, width));
  };
  draw();
  new ResizeObserver(draw).observe(host);
}

function drawBars(columns: readonly Bar[], label: string, unit: (amount: number) => string, width: number): SVGElement {
  const top = Math.max(...columns.map(({ parts }) => parts.reduce((sum, part) => sum + Math.max(0, part.amount), 0)), 1);
  const high = BOX.height - BOX.bottom - BOX.top;
  const y = (amount: number) => BOX.top + high * (1 - amount / (top * 1.04));
  const root = svg("svg", { class: "bars", viewBox: `0 0 ${width} ${BOX.height}`, role: "img", "aria-label": label });
  for (const amount of scaleLines(top)) {
    root.append(
      svg("line", { class: "grid-line", x1: BOX.left, x2: width, y1: y(amount), y2: y(amount) }),
      svg("text", { x: BOX.left - 8, y: y(amount) + 4, "text-anchor": "end" }, unit(amount)),
    );
  }
  const slot = Math.min(BOX.widest, (width - BOX.left) / Math.max(1, columns.length));
  const every = Math.ceil(70 / slot);
  columns.forEach((column, i) => {
    const left = BOX.left + i * slot;
    root.append(drawBar(column, left + slot * 0.08, slot * 0.84, y));
    if (i % every) return;
    const text = svg("text", { x: left + slot / 2, y: BOX.height - 6, "text-anchor": "middle" }, column.label);
    root.append(text);
  });
  return root;
}

function drawBar(column: Bar, x: number, width: number, y: (amount: number) => number): SVGElement {
  const group = svg("g", {}, svg("title", {}, column.title));
  let reached = 0;
  for (const { amount, colour } of column.parts) {
    if (amount <= 0) continue;
    const up = y(reached + amount);
    group.append(svg("rect", { x, y: up, width, height: y(reached) - up, fill: colour }));
    reached += amount;
  }
  return group;
}

/** Zero and at most four more, a power of two apart. */
function scaleLines(top: number): number[] {
  const step = 2 ** Math.ceil(Math.log2(top / 4));
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, i) => i * step);
}
