// SPDX-License-Identifier: Apache-2.0
// Sizes of blocks. What is known of a call path is its bytes and its blocks, so the size is their mean, and it says so.

import type { App } from "./app";
import { el } from "./dom";
import { SITES } from "./palette";
import { bars, type Bar } from "./spark";
import type { Change } from "./state";
import { histogram, type SizeClass } from "./sums";
import { colour } from "./theme";
import { count, percent, size } from "./units";
import { momentText } from "./moments";
import type { View } from "./views";

export class Sizes implements View {
  private host!: HTMLElement;
  private app!: App;

  mount(host: HTMLElement, app: App): void {
    [this.host, this.app] = [host, app];
    this.draw();
  }

  update(change: Change): void {
    if (["a", "b", "kind", "value", "theme", "document"].some((key) => change.has(key as never))) this.draw();
  }

  private draw(): void {
    const { app } = this;
    const allocated = app.state.now.value.startsWith("alloc");
    const range = { a: allocated ? app.range.a : -1, b: app.range.b };
    const what = allocated ? "allocated" : "in use";
    const classes = histogram(app.values(range, allocated ? "alloc_space" : "inuse_space"), app.values(range, allocated ? "alloc_objects" : "inuse_objects"));
    const when = `${range.a >= 0 ? `${momentText(app.header.moments, range.a)} -> ` : ""}${momentText(app.header.moments, range.b)}`;
    const note = `Blocks ${what}, ${when}, by the mean size of each call path's blocks, in powers of two. ` +
      "A call path with blocks of many sizes stands at their mean.";
    if (!classes.length) return void this.host.replaceChildren(el("p", { class: "empty" }, `Nothing was ${what}.`));
    const byBytes = app.unit === "bytes";
    const fill = colour(SITES[0]!, app.state);
    const columns: Bar[] = classes.map((found) => ({
      label: size(found.from),
      title: `${interval(found)}: ${size(found.bytes)} in ${count(found.blocks)} blocks`,
      parts: [{ amount: byBytes ? found.bytes : found.blocks, colour: fill }],
    }));
    const label = `${byBytes ? "Bytes" : "Blocks"} by size of block; the numbers are in the table below.`;
    const picture = el("figure");
    this.host.replaceChildren(el("p", { class: "note" }, note), picture, table(classes));
    bars(picture, columns, label, byBytes ? size : count);
  }
}

function interval({ from }: SizeClass): string {
  return `${size(from)} to ${size(2 * from)}`;
}

function table(classes: readonly SizeClass[]): HTMLElement {
  const [bytes, blocks] = [classes.reduce((sum, one) => sum + one.bytes, 0), classes.reduce((sum, one) => sum + one.blocks, 0)];
  const number = (text: string) => el("td", { class: "number" }, text);
  const rows = classes.map((one) => {
    const cells = [size(one.bytes), percent(one.bytes, bytes), count(one.blocks), percent(one.blocks, blocks), count(one.stacks)];
    return el("tr", {}, el("th", { scope: "row" }, interval(one)), ...cells.map(number));
  });
  const titles = ["Size of block", "Bytes", "Bytes %", "Blocks", "Blocks %", "Call paths"];
  const head = el("tr", {}, ...titles.map((title, i) => el("th", { scope: "col", class: i ? "number" : "" }, title)));
  const grid = el("table", { class: "plain" }, el("thead", {}, head), el("tbody", {}, ...rows));
  return el("div", { class: "scroll figure-text", tabindex: 0, role: "region", "aria-label": "Sizes, as a table" }, grid);
}
