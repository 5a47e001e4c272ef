// SPDX-License-Identifier: Apache-2.0
// The verdict: a mark, the word, the sentence. And what was recorded.

import type { App } from "./app";
import { el, renew, svg } from "./dom";
import type { Change } from "./state";
import { count, duration, size } from "./units";
import type { View } from "./views";

/** Shapes differ, so that nobody needs the colour; in a box of 12 by 12. */
const SHAPES: { readonly [verdict: string]: string } = {
  leak: "M6 0.5 L12 11.5 H0 Z",
  growing: "M6 0.5 L11 6 H8 V11.5 H4 V6 H1 Z",
  steady: "M6 0.5 a5.5 5.5 0 1 0 0.01 0 Z",
  filling: "M6 0.5 a5.5 5.5 0 1 0 0.01 0 Z M6 2.5 a3.5 3.5 0 0 1 0 7 Z",
  cyclic: "M6 0.5 a5.5 5.5 0 1 0 0.01 0 Z M6 3 a3 3 0 1 1 -0.01 0 Z",
};
const UNDECIDED = "M6 0 L12 6 L6 12 L0 6 Z";

/** The verdict's word with its mark; the mark says nothing that the word does not. */
export function verdictMark(verdict: string): HTMLElement {
  const path = svg("path", { d: SHAPES[verdict] ?? UNDECIDED, "fill-rule": "evenodd" });
  const mark = svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, path);
  return el("span", { class: "verdict", "data-verdict": verdict }, mark, verdict.replace("-", " "));
}

/** The headline, the facts, the warnings. */
export class Headline implements View {
  private host!: HTMLElement;
  private app!: App;

  mount(host: HTMLElement, app: App): void {
    [this.host, this.app] = [host, app];
    this.draw();
  }

  update(change: Change): void {
    if (change.has("document")) this.draw();
  }

  private draw(): void {
    const { headline, warnings, costs } = this.app.header;
    const said = `${headline.verdict}: `;
    const sentence = headline.text.startsWith(said) ? headline.text.slice(said.length) : headline.text;
    // A file with one moment has no verdict.
    const mark = headline.verdict === "none" ? false : verdictMark(headline.verdict);
    renew(
      this.host,
      el("h1", { class: "headline" }, mark, el("span", { class: "sentence" }, sentence)),
      ...headline.detail.split("\n").filter(Boolean).map((line) => el("p", { class: "detail" }, line)),
      this.facts(),
      warnings.length
        ? el("ul", { class: "notes", "aria-label": "Warnings" }, ...warnings.map((text) => el("li", {}, text)))
        : false,
      costs.length ? details("What recording cost", costs.map(({ label, text }) => [label, text])) : false,
    );
  }

  private facts(): HTMLElement {
    const { header } = this.app;
    const { moments } = header;
    const known = moments.number.length;
    const snapshots = count(moments.total_snapshots) + (known < moments.total_snapshots ? ` (${count(known)} of them here)` : "");
    const program: [string, string | null] = ["program", header.command + (header.pid ? ` (pid ${header.pid})` : "")];
    const recorded: [string, string | null][] = [
      ["recorded for", `${duration(header.duration_s)}${header.live ? ", still running" : ""}`],
      ["from", moments.wall[0] ?? null],
      ["mode", header.mode],
      ["snapshots", snapshots],
      ["peak in use", `${size(moments.in_use[moments.peak] ?? 0)} at #${moments.number[moments.peak]}`],
    ];
    // Of a file that another tool wrote nothing but its time is known.
    const foreign = moments.kind.every((kind) => kind === "file");
    const pairs = [program, ...recorded.filter(([term]) => !foreign || term === "from")];
    const shown = pairs.filter((pair): pair is [string, string] => Boolean(pair[1]));
    return el("dl", { class: "facts" }, ...shown.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text))));
  }
}

function details(summary: string, pairs: [string, string][]): HTMLElement {
  const list = el("dl", {});
  for (const [term, text] of pairs) list.append(el("dt", {}, term), el("dd", {}, text));
  return el("details", { class: "small" }, el("summary", {}, summary), list);
}
