// SPDX-License-Identifier: Apache-2.0
// What grows: a card for each suspect that asks for action, a table of what was judged and left alone.

import type { App } from "./app";
import { el, renew } from "./dom";
import type { Suspect } from "./document";
import { excerptLines } from "./excerpt";
import { verdictMark } from "./headline";
import { isServed } from "./serve_api";
import { showSource } from "./serve_source";
import { spark } from "./spark";
import type { Change } from "./state";
import { percent, size } from "./units";
import type { View } from "./views";

/** So many are shown at once: the first ones matter most, and what can be explored stands below them. */
const FIRST = 4;
const FEW_STEPS = 3;

export class Suspects implements View {
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
    const { suspects } = this.app.header;
    const acting = suspects.filter((suspect) => suspect.acts);
    const quiet = suspects.filter((suspect) => !suspect.acts);
    this.host.hidden = !suspects.length;
    renew(
      this.host,
      el("h2", {}, "What grows"),
      acting.length ? this.cards(acting.slice(0, FIRST)) : el("p", { class: "faint" }, "Nothing that asks for action."),
      acting.length > FIRST ? this.more(acting.slice(FIRST)) : false,
      quiet.length ? quietTable(quiet) : false,
    );
  }

  private cards(suspects: readonly Suspect[]): HTMLElement {
    return el("div", { class: "cards" }, ...suspects.map((suspect) => this.card(suspect)));
  }

  private more(suspects: readonly Suspect[]): HTMLElement {
    const summary = el("summary", {}, `More suspects: ${suspects.length}`);
    return el("details", { class: "small unfolds" }, summary, this.cards(suspects));
  }

  private card(suspect: Suspect): HTMLElement {
    const mapped = suspect.kind === "mmap" ? "mapped memory" : "";
    // Of what rose in steps the rate tells little.
    const stepped = suspect.steps.length > 0 && suspect.verdict !== "leak";
    const [first, second] = stepped ? [suspect.growth_text, suspect.rate_text] : [suspect.rate_text, suspect.growth_text];
    const beside = stepped ? [suspect.confidence_text, suspect.share_text] : [suspect.interval_text, suspect.confidence_text, suspect.share_text];
    const aside = [mapped, ...beside].filter(Boolean).join(", ");
    const told = el(
      "div",
      { class: "told" },
      el("div", { class: "head" }, this.who(suspect), spark(suspect.spark, sparkText(suspect))),
      el("div", {}, el("div", { class: "rate" }, first), el("div", { class: "aside" }, aside)),
      el("p", {}, stepped ? `on average ${second} (${suspect.interval_text})` : second),
      el("p", {}, `Why: ${suspect.why}.`),
      suspect.ages.length ? ages(suspect.ages) : false,
      suspect.steps.length ? steps(suspect.steps) : false,
      suspect.limit_text ? el("p", {}, suspect.limit_text) : false,
      suspect.parts.length ? parts(suspect.parts) : false,
      this.actions(suspect),
    );
    const source = this.source(suspect);
    const where = el("div", { class: "where" }, source, stack(suspect.stack));
    const label = `${suspect.verdict}: ${suspect.place_text}`;
    return el("article", { class: "card", "data-verdict": suspect.verdict, "aria-label": label }, el("div", { class: source ? "card-body with-source" : "card-body" }, told, where));
  }

  private who(suspect: Suspect): HTMLElement {
    const { site } = suspect;
    const name = site.function ?? suspect.place_text;
    const where = site.file ? `${site.file}${site.line ? `:${site.line}` : ""}` : (site.module ?? "");
    const title = el("h3", {}, name);
    return el("div", { class: "who" }, verdictMark(suspect.verdict), title, where ? el("span", { class: "place" }, where) : false);
  }

  private source({ source }: Suspect): HTMLElement | false {
    const excerpt = source && this.app.header.sources[source.index];
    return excerpt ? excerptLines(excerpt, source.line) : false;
  }

  private actions({ kind, places, site }: Suspect): HTMLElement | false {
    const name = places.length ? this.app.header.strings[places[0]!] : undefined;
    if (!name) return false;
    const go = (view: string) => {
      this.app.state.set({ view, kind, query: name, focus: "" });
      toTab();
    };
    const toTab = () =>
      this.host.ownerDocument.querySelector<HTMLElement>("[role=tab][aria-selected=true]")?.focus();
    const { file, line } = site;
    const source = () => {
      showSource(this.app, file!, line ?? 0);
      toTab();
    };
    return el(
      "div",
      { class: "actions" },
      el("button", { type: "button", click: () => go("flame") }, "Find in flame graph"),
      el("button", { type: "button", click: () => go("table") }, "Find in table"),
      isServed() && file !== null && el("button", { type: "button", click: source }, "Show source"),
    );
  }
}

function sparkText({ spark: values }: Suspect): string {
  const [first, last] = [values[0] ?? 0, values[values.length - 1] ?? 0];
  return `in use over time: from ${size(first)} to ${size(last)}, at most ${size(Math.max(0, ...values))}`;
}

/** Shares of what it holds by the quarter of the run in which it was allocated; the words are among the reasons. */
function ages(shares: readonly number[]): HTMLElement {
  const strip = el("div", { class: "ages", "aria-hidden": "true" });
  shares.forEach((share, quarter) => {
    const piece = el("span", { title: `allocated in quarter ${quarter + 1} of the run: ${percent(share, 1)}` });
    piece.style.flexGrow = String(Math.max(share, 0));
    strip.append(piece);
  });
  return strip;
}

/** Few of them as they are; many would bury what stands below. */
function steps(texts: readonly string[]): HTMLElement {
  const list = el("ul", {}, ...texts.map((text) => el("li", {}, `Step: ${text}`)));
  return texts.length <= FEW_STEPS ? list : el("details", { class: "unfolds" }, el("summary", {}, `Rose in ${texts.length} steps`), list);
}

function parts(found: readonly Suspect[]): HTMLElement {
  return el("ul", { "aria-label": "Its parts" }, ...found.map((part) => el("li", {}, `of it ${part.rate_text} at ${part.place_text}`)));
}

function stack(frames: readonly string[]): HTMLElement | false {
  if (!frames.length) return false;
  const list = el("ol", { class: "mono" }, ...frames.map((frame) => el("li", {}, frame)));
  return el("details", {}, el("summary", {}, "Call path, innermost first"), list);
}

function quietTable(quiet: readonly Suspect[]): HTMLElement {
  const rows = quiet.map((suspect) => {
    const verdict = el("td", {}, verdictMark(suspect.verdict), suspect.suppressed ? ` suppressed by ${suspect.suppressed}` : "");
    const cells = [suspect.place_text, suspect.rate_text, suspect.interval_text, suspect.growth_text];
    return el("tr", {}, verdict, ...cells.map((text, i) => el("td", { class: i ? "" : "mono" }, text)));
  });
  const titles = ["Verdict", "Site", "Rate", "Interval", "Growth"];
  const head = el("thead", {}, el("tr", {}, ...titles.map((title) => el("th", { scope: "col" }, title))));
  const table = el("table", { class: "plain" }, head, el("tbody", {}, ...rows));
  const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Sites that need no action" }, table);
  return el("details", { class: "small quiet" }, el("summary", {}, `Judged and left alone: ${quiet.length}`), box);
}
