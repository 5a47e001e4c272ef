// SPDX-License-Identifier: Apache-2.0
// The row of controls above the flame graph, and the way to the box that it begins with.

import type { App } from "./app";
import { select } from "./controls";
import { el, setText } from "./dom";
import { joined, type FlameModel } from "./flame_model";
import { MATCH } from "./flame_paint";
import { pathTo } from "./flame_tree";
import { count } from "./units";

/** What the controls ask for; settings they change themselves. */
export interface Asked {
  /** Goes to the next match, or the one before. */
  step(by: 1 | -1): void;
  zoom(factor: number): void;
  reset(): void;
}

const KEYS: readonly (readonly [key: string, does: string])[] = [
  ["arrows", "to the box above, below or beside"],
  ["Home", "to the box that the graph begins with"],
  ["Enter", "zoom to the box"],
  ["Esc", "reset the zoom"],
  ["+  -", "closer, further (or Ctrl and the wheel; drag to move)"],
  ["/", "search; n and N: next and previous match"],
  ["f", "only stacks through this place"],
  ["h", "take this place out"],
  ["c", "copy the name"],
  ["menu key", "all of these"],
];

type Choices = readonly (readonly [value: string, label: string])[];

export class Controls {
  readonly element = el("div", { class: "flame-controls", role: "group", "aria-label": "Flame graph" });
  readonly search = el("input", {
    type: "search",
    placeholder: "text or /regex/",
    "aria-label": "Search boxes",
    spellcheck: "false",
  });
  private readonly result = el("output", { class: "flame-result" });
  private readonly chips = el("span", { class: "flame-chips" });
  private readonly order = this.select("order", "Direction", [["icicle", "downwards"], ["flame", "upwards"]]);
  private readonly from = this.select("from", "Stacks", [["root", "from the root"], ["site", "from the site"]]);
  private readonly width = this.select("width", "Width", [["change", "change"], ["end", "value at the end"]]);
  private readonly colour = this.select("colour", "Colour", [["module", "module"], ["role", "kind of code"], ["change", "change"]]);

  constructor(
    private readonly app: App,
    asked: Asked,
  ) {
    this.search.addEventListener("input", () => app.state.set({ query: this.search.value }));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") asked.step(event.shiftKey ? -1 : 1);
    });
    const button = (label: string, title: string, run: () => void) =>
      el("button", { type: "button", title, "aria-label": title, click: run }, label);
    this.element.append(
      el("span", { class: "flame-search" }, this.search, button("‹", "previous match", () => asked.step(-1)), button("›", "next match", () => asked.step(1)), this.result),
      this.from.element,
      this.width.element,
      this.colour.element,
      this.order.element,
      el("span", { class: "flame-zoom" }, button("+", "zoom in", () => asked.zoom(1.6)), button("−", "zoom out", () => asked.zoom(1 / 1.6)), button("Reset zoom", "reset zoom", () => asked.reset())),
      this.chips,
      help(),
    );
  }

  update(model: FlameModel): void {
    const { options, matches } = model;
    if (this.search.value !== this.app.state.now.query) this.search.value = this.app.state.now.query;
    this.search.setAttribute("aria-invalid", String(model.badQuery));
    setText(this.result, model.badQuery ? "not a valid expression" : matches ? found(model) : "");
    this.from.set(options.inverted ? "site" : "root");
    this.order.set(options.flame ? "flame" : "icicle");
    this.width.set(options.end ? "end" : "change");
    this.width.element.hidden = !this.app.isDifference;
    this.colour.set(options.colour);
    const { only, without } = options;
    const chips = without.map((name) => this.chip(`without ${name}`, "flame.without", joined(without.filter((each) => each !== name))));
    if (only) chips.unshift(this.chip(`only through ${only}`, "flame.only", null));
    this.chips.replaceChildren(...chips);
  }

  /** A choice that stands in the fragment. The first is usual and not written there, but for colours: theirs depends. */
  private select(name: string, label: string, choices: Choices): ReturnType<typeof select<string>> {
    return select(label, choices, (value) => {
      const usual = name !== "colour" && value === choices[0]![0];
      this.app.state.setMore(`flame.${name}`, usual ? null : value);
    });
  }

  private chip(label: string, setting: string, without: string | null): HTMLElement {
    const short = label.length > 60 ? `${label.slice(0, 59)}…` : label;
    const props = { type: "button", class: "flame-chip", title: label, "aria-label": `no longer ${label}` };
    return el("button", { ...props, click: () => this.app.state.setMore(setting, without) }, `${short} ×`);
  }
}

/** How much matches, in words. */
export function found(model: FlameModel): string {
  const matches = model.matches!;
  const boxes = matches.nodes.length;
  if (!boxes) return "no match";
  return `${count(boxes)} ${boxes === 1 ? "box" : "boxes"}, ${model.quantity(matches.total)} (${model.share(matches.total)})`;
}

function help(): HTMLElement {
  const rows = KEYS.flatMap(([key, does]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, does)]);
  return el("details", { class: "flame-keys" }, el("summary", {}, "Keys"), el("dl", {}, ...rows));
}

/** Boxes of the path that are named; between them the path is left out. */
const NAMED = { first: 1, last: 4 };

/** The way from everything to the box that the graph begins with. */
export class Path {
  readonly element = el("nav", { "aria-label": "Zoomed to", class: "flame-path" });

  constructor(private readonly go: (node: number) => void) {}

  show(model: FlameModel, node: number): void {
    const path = [0, ...pathTo(model.tree, node)];
    const items = path.map((each) => (each === node ? this.here(model, each) : this.button(model, each)));
    if (items.length > NAMED.first + NAMED.last + 1) {
      const left = items.length - NAMED.first - NAMED.last;
      items.splice(NAMED.first, left, el("li", {}, `… ${left} more …`));
    }
    this.element.replaceChildren(el("ol", {}, ...items));
    this.element.hidden = node === 0;
  }

  private here(model: FlameModel, node: number): HTMLElement {
    return el("li", { "aria-current": "location" }, model.short(node));
  }

  private button(model: FlameModel, node: number): HTMLElement {
    return el("li", {}, el("button", { type: "button", title: model.name(node), click: () => this.go(node) }, model.short(node)));
  }
}

/** What the colours mean. */
export class Legend {
  readonly element = el("ul", { class: "legend", "aria-label": "Colours" });

  show(model: FlameModel, dark: boolean): void {
    const found = { label: "found", tone: MATCH };
    const keys = (model.matches ? [found] : model.colours.legend).map(({ label, tone }) => {
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = dark ? tone.dark : tone.light;
      return el("li", {}, swatch, label);
    });
    const width = el("li", { class: "flame-width" }, widthText(model));
    this.element.replaceChildren(...keys, width);
  }
}

function widthText(model: FlameModel): string {
  if (model.options.end) return "width: value at the end of the range";
  return model.signed ? "width: growth and shrinkage added up" : "width: value";
}
