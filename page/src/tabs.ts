// SPDX-License-Identifier: Apache-2.0
// Tabs by the ARIA pattern: arrows move, Home and End jump, and what is shown is in the settings (`view`).

import type { App } from "./app";
import { el, uniqueId } from "./dom";
import { DEFAULTS, type Change } from "./state";
import type { Tab, View } from "./views";

interface Slot {
  tab: Tab;
  button: HTMLButtonElement;
  panel: HTMLElement;
  view: View | null;
  /** What changed while the view was not shown. */
  missed: Set<keyof typeof DEFAULTS | "document">;
}

/** The tab list and its panels; a view is made when it is first shown. */
export class Tabs implements View {
  private slots: Slot[] = [];
  private app!: App;

  constructor(
    private readonly tabs: readonly Tab[],
    private readonly label: string,
  ) {}

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    const list = el("div", { role: "tablist", "aria-label": this.label, class: "tabs" });
    list.addEventListener("keydown", (event) => this.onKey(event));
    host.append(list);
    list.hidden = this.tabs.length < 2;
    for (const tab of this.tabs) {
      const [tabId, panelId] = [uniqueId("tab"), uniqueId("panel")];
      const button = el("button", { type: "button", role: "tab", id: tabId, "aria-controls": panelId }, tab.label);
      button.addEventListener("click", () => app.state.set({ view: tab.id }));
      const panel = el("section", { role: "tabpanel", id: panelId, "aria-labelledby": tabId, "data-label": tab.label, class: `panel panel-${tab.id}` });
      list.append(button);
      host.append(panel);
      this.slots.push({ tab, button, panel, view: null, missed: new Set() });
    }
    this.update(new Set(["view"]));
  }

  update(change: Change): void {
    const chosen = this.chosen();
    for (const slot of this.slots) {
      const shown = slot === chosen;
      slot.button.hidden = !this.isAvailable(slot);
      slot.button.setAttribute("aria-selected", String(shown));
      slot.button.tabIndex = shown ? 0 : -1;
      slot.panel.hidden = !shown;
      for (const key of change) slot.missed.add(key);
    }
    if (chosen) this.show(chosen);
  }

  /** Shows every panel that can be drawn at once, for printing; the function that is returned takes that back. */
  unfold(): () => void {
    const shown = this.slots.filter((slot) => this.isAvailable(slot) && (slot.view || !slot.tab.slow));
    for (const slot of shown) {
      slot.panel.hidden = false;
      this.show(slot);
    }
    return () => this.update(new Set());
  }

  private show(slot: Slot): void {
    if (!slot.view) {
      slot.view = slot.tab.create();
      slot.view.mount(slot.panel, this.app);
    } else if (slot.missed.size) slot.view.update(slot.missed);
    slot.missed = new Set();
  }

  private isAvailable(slot: Slot): boolean {
    return slot.tab.available?.(this.app) ?? true;
  }

  private chosen(): Slot | undefined {
    const open = this.slots.filter((slot) => this.isAvailable(slot));
    return open.find((slot) => slot.tab.id === this.app.state.now.view) ?? open[0];
  }

  private onKey(event: KeyboardEvent): void {
    const open = this.slots.filter((slot) => this.isAvailable(slot));
    const at = open.indexOf(this.chosen()!);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: open.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = open[(to + open.length) % open.length]!;
    this.app.state.set({ view: next.tab.id });
    next.button.focus();
  }
}
