// SPDX-License-Identifier: Apache-2.0
// The ledger: where the resident memory is at the end of the range, and what came on top since its beginning.

import type { App } from "./app";
import { el } from "./dom";
import type { Ledger } from "./document";
import { PARTS, REST } from "./palette";
import type { Change } from "./state";
import { colour } from "./theme";
import { percent, size } from "./units";
import type { View } from "./views";

interface Line {
  label: string;
  help: string;
  bytes: readonly number[];
  colour: string | null;
}

export class LedgerView implements View {
  private host!: HTMLElement;
  private app!: App;

  mount(host: HTMLElement, app: App): void {
    [this.host, this.app] = [host, app];
    this.draw();
  }

  update(change: Change): void {
    if (["a", "b", "theme", "document"].some((key) => change.has(key as never))) this.draw();
  }

  private draw(): void {
    const ledger = this.app.header.ledger;
    if (!ledger?.t_s.length) return void this.host.replaceChildren(el("p", { class: "empty" }, "The process's own memory figures were not recorded."));
    const { a, b } = this.app.range;
    const { t_s, number } = this.app.header.moments;
    const reading = (moment: number) => Math.max(0, ledger.t_s.findLastIndex((seconds) => seconds <= t_s[moment]!));
    const [from, at] = [a < 0 ? null : reading(a), reading(b)];
    const since = from === null ? "" : `; the change is since the reading at #${ledger.number[from]}`;
    const note = `Resident memory at the reading of #${ledger.number[at]}${ledger.number[at] === number[b] ? "" : `, the last before #${number[b]}`}${since}. The parts add up to what the system counts as resident.`;
    this.host.replaceChildren(el("p", { class: "note" }, note), table(this.lines(ledger), ledger, from, at));
  }

  private lines(ledger: Ledger): Line[] {
    const parts = ledger.parts.filter(({ bytes }) => bytes.some((amount) => amount !== 0));
    return [
      ...parts.map(({ name, label, help, bytes }) => ({ label, help, bytes, colour: colour(PARTS[name] ?? REST, this.app.state) })),
      { label: "resident", help: "What the system counts as resident.", bytes: ledger.rss, colour: null },
      ...ledger.outside.map(({ label, bytes }) => ({ label, help: "Not resident; it does not count above.", bytes, colour: null })),
    ];
  }
}

function table(lines: readonly Line[], ledger: Ledger, from: number | null, at: number): HTMLElement {
  const whole = ledger.rss[at] ?? 0;
  const number = (text: string) => el("td", { class: "number" }, text);
  const rows = lines.map(({ label, help, bytes, colour: fill }) => {
    const now = bytes[at] ?? 0;
    const meter = el("span", { class: "meter" });
    if (fill) {
      meter.style.background = fill;
      meter.style.width = `${whole > 0 ? Math.max(0, (160 * now) / whole) : 0}px`;
    }
    const name = fill ? el("th", { scope: "row" }, label) : el("th", { scope: "row" }, el("strong", {}, label));
    const change = from === null ? [] : [number(size(bytes[from] ?? 0)), number(size(now - (bytes[from] ?? 0), true))];
    return el("tr", {}, name, number(size(now)), number(percent(now, whole)), ...change, el("td", { "aria-hidden": "true" }, meter), el("td", { class: "faint" }, help));
  });
  const change = from === null ? [] : ["Before", "Change"];
  const titles = ["Part", "Bytes", "Share", ...change, "", "What it is"];
  const numbers = 2 + change.length;
  const head = titles.map((title, i) => (title ? el("th", { scope: "col", class: i >= 1 && i <= numbers ? "number" : "" }, title) : el("td", {})));
  const grid = el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ledger" }, grid);
}
