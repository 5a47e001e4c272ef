// SPDX-License-Identifier: Apache-2.0
// Survivors by birth: when what is in use now was allocated, by site.

import type { App } from "./app";
import { el } from "./dom";
import { REST, SITES } from "./palette";
import { bars, type Bar } from "./spark";
import type { Change } from "./state";
import { colour } from "./theme";
import { quantity, size } from "./units";
import type { View } from "./views";

export class SurvivorsView implements View {
  private host!: HTMLElement;
  private app!: App;

  mount(host: HTMLElement, app: App): void {
    [this.host, this.app] = [host, app];
    this.draw();
  }

  update(change: Change): void {
    if (change.has("document") || change.has("theme")) this.draw();
  }

  private draw(): void {
    const found = this.app.header.survivors;
    if (!found) return void this.host.replaceChildren(el("p", { class: "empty" }, "Ages were not recorded."));
    const tones = found.sites.map((_, i) => (i === found.sites.length - 1 && i ? REST : SITES[i % SITES.length]!));
    const colours = tones.map((tone) => colour(tone, this.app.state));
    const columns: Bar[] = found.births.map((birth, k) => ({
      label: birth.label.split(" to ")[0]!,
      title: `born ${birth.label}: ${size(birth.bytes)}`,
      parts: found.sites.map(({ bytes }, i) => ({ amount: bytes[k] ?? 0, colour: colours[i]! })),
    }));
    const total = found.births.reduce((sum, birth) => sum + birth.bytes, 0);
    const words = `What is in use at ${found.wall} (${size(total)}), by when it was allocated. It does not follow the range.`;
    const picture = el("figure");
    this.host.replaceChildren(
      el("p", { class: "note" }, `${words} A leak has survivors of all ages; a cache or a backlog has young ones.`),
      picture,
      this.legend(found.sites.map(({ label }) => label), colours),
      this.table(found),
    );
    bars(picture, columns, `${words} The numbers are in the table below.`, size);
  }

  private legend(labels: readonly string[], colours: readonly string[]): HTMLElement {
    const items = labels.map((label, i) => {
      const swatch = el("span", { class: "swatch" });
      swatch.style.background = colours[i]!;
      return el("li", { title: label }, swatch, el("span", { class: "name" }, label));
    });
    return el("ul", { class: "legend" }, ...items);
  }

  private table({ births, sites }: NonNullable<App["header"]["survivors"]>): HTMLElement {
    const sampled = births.some((birth) => birth.error > 0);
    const number = (text: string) => el("td", { class: "number" }, text);
    const rows = births.map((birth, k) =>
      el("tr", {}, el("th", { scope: "row" }, birth.label), number(size(birth.bytes)), ...(sampled ? [number(quantity(birth.error, "bytes"))] : []),
        ...sites.map(({ bytes }) => number(size(bytes[k] ?? 0)))),
    );
    const titles = ["Born", "Survives", ...(sampled ? ["+/-"] : []), ...sites.map(({ label }) => label)];
    const head = el("tr", {}, ...titles.map((title, i) => el("th", { scope: "col", class: i ? "number" : "" }, title)));
    const table = el("table", { class: "plain" }, el("thead", {}, head), el("tbody", {}, ...rows));
    return el("div", { class: "scroll figure-text", tabindex: 0, role: "region", "aria-label": "Survivors by birth, as a table" }, table);
  }
}
