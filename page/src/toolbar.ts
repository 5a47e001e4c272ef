// SPDX-License-Identifier: Apache-2.0
// What is counted: blocks or mappings, in use or allocated, by size or by number; and how call paths are told apart.

import type { App } from "./app";
import { check, choice, select } from "./controls";
import type { Kind } from "./document";
import type { Change } from "./state";
import type { By, Value } from "./sums";
import type { View } from "./views";

type What = "inuse" | "alloc";
type Measure = "space" | "objects";

const BY: readonly (readonly [By, string])[] = [
  ["function", "function"],
  ["line", "line"],
  ["file", "file"],
  ["module", "module"],
  ["address", "address"],
];

export class Toolbar implements View {
  private host!: HTMLElement;
  private app!: App;
  private kinds = "";
  private show: (() => void)[] = [];

  mount(host: HTMLElement, app: App): void {
    [this.host, this.app] = [host, app];
    host.classList.add("controls");
    this.draw();
  }

  private draw(): void {
    const { app, host } = this;
    host.replaceChildren();
    const { state } = app;
    this.kinds = kindsOf(app);
    const kinds = app.header.datasets.map(({ kind, label }) => [kind, label[0]!.toUpperCase() + label.slice(1)] as const);
    const kind = choice<Kind>("Kind of memory", kinds, (kind) => state.set({ kind }));
    const what = choice<What>("Value", [["inuse", "In use"], ["alloc", "Allocated"]], (what) =>
      state.set({ value: `${what}_${this.measure}` }),
    );
    const measure = choice<Measure>("Measure", [["space", "Bytes"], ["objects", "Count"]], (measure) =>
      state.set({ value: `${this.what}_${measure}` }),
    );
    const by = select<By>("by", BY, (by) => state.set({ by }));
    const hide = check("Hide runtime frames", (hide) => state.set({ hide }));
    if (kinds.length > 1) host.append(kind.element);
    host.append(what.element, measure.element, by.element, hide.element);
    this.show = [
      () => kind.set(app.dataset.info.kind),
      () => what.allow((value) => this.has(value, this.measure)),
      () => what.set(this.what),
      () => measure.allow((value) => this.has(this.what, value)),
      () => measure.set(this.measure),
      () => by.set(state.now.by),
      () => hide.set(state.now.hide),
    ];
    this.update();
  }

  update(change?: Change): void {
    // A program that is being recorded may map something for the first time.
    if (change?.has("document") && kindsOf(this.app) !== this.kinds) return this.draw();
    const { values } = this.app.dataset.info;
    // A foreign file may hold one value only: what it lacks is not shown as zeros.
    if (values.length && !values.includes(this.app.state.now.value)) return this.app.state.set({ value: values[0] as Value });
    for (const show of this.show) show();
  }

  private has(what: What, measure: Measure): boolean {
    return this.app.dataset.info.values.includes(`${what}_${measure}`);
  }

  private get what(): What {
    return this.app.state.now.value.split("_")[0] as What;
  }

  private get measure(): Measure {
    return this.app.state.now.value.split("_")[1] as Measure;
  }
}

function kindsOf(app: App): string {
  return app.header.datasets.map(({ kind }) => kind).join(" ");
}
