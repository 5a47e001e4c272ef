// SPDX-License-Identifier: Apache-2.0
// Two captures side by side: the same views with the same settings, and the difference of the two below.

import type { App } from "./app";
import { el, setText } from "./dom";
import { Headline } from "./headline";
import { RangeControls, RangeText } from "./range";
import { captureOf, differenceOf, type Difference } from "./serve_api";
import type { Settings, State } from "./state";
import { Table } from "./table";
import { Timeline } from "./timeline";
import { Toolbar } from "./toolbar";
import type { View } from "./views";

/** What both columns have in common; each has a range of its own. */
const SHARED = ["kind", "value", "by", "query", "sort", "hide", "theme"] as const satisfies readonly (keyof Settings)[];
const REST_MS = 200;

/** Draws the views of a column into `host`; the function that is returned ends that. */
export function mountColumn(host: HTMLElement, app: App): () => void {
  const views: View[] = [];
  const add = (name: string, view: View) => {
    const place = el("div", { class: `serve-part serve-${name}` });
    host.append(place);
    view.mount(place, app);
    views.push(view);
  };
  host.append(el("h2", { class: "serve-title" }, app.header.title));
  add("headline", new Headline());
  if (app.header.moments.number.length > 1) {
    add("timeline", new Timeline());
    add("controls", new RangeControls());
  }
  add("range", new RangeText());
  add("tools", new Toolbar());
  add("table", new Table());
  return app.state.subscribe((change) => views.forEach((view) => view.update(change)));
}

/** Keeps what columns share the same in both; the function that is returned ends that. */
export function together(one: State, other: State): () => void {
  const copy = (from: State, to: State) => () =>
    to.set(Object.fromEntries(SHARED.map((key) => [key, from.now[key]])) as Partial<Settings>);
  const ends = [one.subscribe(copy(one, other)), other.subscribe(copy(other, one))];
  return () => ends.forEach((end) => end());
}

/** What the left capture holds on top of the right one. Python subtracts: stacks match by their frames. */
export class Differences {
  private readonly said = el("p", { role: "status", class: "faint" });
  private readonly table = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of differences" });
  readonly element = el("section", { class: "serve-difference" }, el("h2", {}, "Difference"), this.said, this.table);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking: AbortController | null = null;
  private asked = "";

  constructor(
    private readonly apps: () => [App | null, App | null],
  ) {}

  update(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(), REST_MS);
  }

  private async refresh(): Promise<void> {
    const [one, other] = this.apps();
    if (!one || !other) return;
    const [at, oldAt] = [one, other].map((app) => app.header.moments.number[app.range.b]!) as [number, number];
    const { value, by } = one.state.now;
    const asked = JSON.stringify([captureOf(one), captureOf(other), at, oldAt, value, by, one.header.duration_s]);
    if (asked === this.asked) return;
    this.asked = asked;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      const found = await differenceOf(captureOf(one), captureOf(other), at, oldAt, value, by, asking.signal);
      this.draw(found, one.header.title, other.header.title);
    } catch (error) {
      if (asking.signal.aborted) return;
      this.asked = "";
      this.table.replaceChildren();
      setText(this.said, error instanceof Error ? error.message : String(error));
    }
  }

  private draw(found: Difference, name: string, old: string): void {
    const more = found.more ? ` ${found.more} smaller changes are not shown.` : "";
    setText(this.said, `${name} (new) less ${old} (old), each at the end of its range: ${found.total}.${more}`);
    const number = { scope: "col", class: "number" };
    const head = el(
      "tr",
      {},
      ...["Old", "New", "Change", "Times"].map((text) => el("th", number, text)),
      el("th", { scope: "col" }, "Where"),
    );
    const rows = found.rows.map((row) =>
      el(
        "tr",
        { class: row.sign > 0 ? "more" : "less" },
        ...[row.before, row.after, row.change, row.times].map((text) => el("td", { class: "number" }, text)),
        el("td", {}, row.name, row.place ? el("span", { class: "faint" }, ` ${row.place}`) : ""),
      ),
    );
    this.table.replaceChildren(el("table", { class: "plain" }, el("thead", {}, head), el("tbody", {}, ...rows)));
  }
}
