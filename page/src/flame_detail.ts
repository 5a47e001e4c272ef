// SPDX-License-Identifier: Apache-2.0
// What is known of one box: in the tooltip beside the pointer, and below the graph with its line of source.

import type { App } from "./app";
import { el } from "./dom";
import { childrenOf, type Hit } from "./flame_layout";
import type { FlameModel } from "./flame_model";
import { fileOf } from "./names";
import { count, quantity } from "./units";

/** Lines of source shown on each side. */
const AROUND = 2;

type Fact = readonly [label: string, text: string];

/** The numbers of a node, with their labels. */
export function factsOf(model: FlameModel, app: App, node: number): Fact[] {
  const { layout } = model;
  const [total, self] = [layout.total[node]!, layout.self[node]!];
  const error = node === 0 && !model.options.end && !model.options.only ? app.error() : null;
  const margin = error ? ` +/- ${quantity(error, app.unit)}` : "";
  const { inverted } = model.options;
  const facts: Fact[] = [[inverted ? "value" : "cumulative", `${model.quantity(total)}${margin} (${model.share(total)})`]];
  // Read from the site, what stands at a box itself is where stacks happen to begin.
  if (!inverted) facts.push(["self", self ? `${model.quantity(self)} (${model.share(self)})` : "0"]);
  if (model.options.end) facts.push(["change over the range", model.quantity(layout.change[node]!, true)]);
  else if (layout.width[node]! > Math.abs(total) * (1 + 1e-9)) {
    const width = layout.width[node]!;
    facts.push(["grew", model.quantity((width + total) / 2, true)], ["shrank", model.quantity((total - width) / 2, true)]);
  }
  return facts;
}

function list(facts: readonly Fact[]): HTMLElement {
  return el("dl", {}, ...facts.flatMap(([label, text]) => [el("dt", {}, label), el("dd", {}, text)]));
}

/** Follows the pointer. Its text stands elsewhere as well, so it is hidden from screen readers. */
export class Tooltip {
  readonly element = el("div", { class: "flame-tip", hidden: true, "aria-hidden": "true" });

  show(model: FlameModel, app: App, over: Hit | null, point: { x: number; y: number }): void {
    this.element.hidden = over === null;
    if (!over) return;
    if (over.count > 1) this.element.replaceChildren(...smallOnes(model, over));
    else {
      const { where, module } = model.source(over.node);
      this.element.replaceChildren(
        el("strong", {}, cut(model.name(over.node))),
        el("div", { class: "flame-where" }, where, where && module ? ` in ${module}` : ""),
        list(factsOf(model, app, over.node)),
      );
    }
    const { offsetWidth, offsetHeight } = this.element;
    const [roomX, roomY] = [innerWidth - offsetWidth - 8, innerHeight - offsetHeight - 8];
    this.element.style.left = `${Math.max(8, Math.min(point.x + 14, roomX))}px`;
    this.element.style.top = `${point.y + 18 <= roomY ? point.y + 18 : Math.max(8, point.y - offsetHeight - 12)}px`;
  }
}

function smallOnes(model: FlameModel, over: Hit): HTMLElement[] {
  const { layout, tree } = model;
  const above = tree.parent[over.node]!;
  let [total, width] = [0, 0];
  for (const kid of childrenOf(layout, above).subarray(-over.count)) {
    total += layout.total[kid]!;
    width += layout.width[kid]!;
  }
  const facts: Fact[] = [["together", `${model.quantity(total)} (${model.share(total)})`]];
  if (width !== Math.abs(total)) facts.push(["without signs", model.quantity(width, false)]);
  return [el("strong", {}, `${count(over.count)} small boxes`), el("div", {}, "too narrow to be drawn: zoom in"), list(facts)];
}

/** Long names would fill the window. */
function cut(name: string): string {
  return name.length > 300 ? `${name.slice(0, 200)} … ${name.slice(-80)}` : name;
}

/** The panel below the graph: the box that the keyboard stands on, or that was clicked last. */
export class Details {
  readonly element = el("section", { class: "flame-detail", "aria-label": "The chosen box" });

  show(model: FlameModel, app: App, node: number): void {
    const { where, module } = model.source(node);
    const place = [where, module && !where.includes(module) ? `in ${module}` : ""].filter(Boolean).join(" ");
    const texts = [el("h4", {}, model.name(node)), place ? el("p", { class: "flame-where" }, place) : null];
    this.element.replaceChildren(el("div", {}, ...texts, list(factsOf(model, app, node))));
    const source = this.excerpt(model, app, node);
    if (source) this.element.append(source);
  }

  private excerpt(model: FlameModel, app: App, node: number): HTMLElement | null {
    const frame = model.frameOf(node);
    const file = fileOf(app.document, frame);
    const line = file === null ? 0 : app.document.frames.line[frame]!;
    const found = app.header.sources.find(
      (source) => source.file === file && line >= source.first_line && line < source.first_line + source.lines.length,
    );
    if (!found || !line) return null;
    const at = line - found.first_line;
    const first = Math.max(0, at - AROUND);
    const lines = found.lines.slice(first, at + AROUND + 1).map((text, i) => {
      const number = found.first_line + first + i;
      const props = number === line ? { class: "flame-here" } : {};
      return el("span", props, `${String(number).padStart(6)}  ${text}\n`);
    });
    return el("pre", { "aria-label": `source around line ${line}`, tabindex: 0 }, ...lines);
  }
}
