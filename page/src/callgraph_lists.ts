// SPDX-License-Identifier: Apache-2.0
// The call graph as text: every call that the picture shows, and what is known of the chosen place.

import type { App } from "./app";
import type { Texts } from "./callgraph_dot";
import type { Trimmed } from "./callgraph_trim";
import { el } from "./dom";

type Choose = (place: number) => void;

function placeButton(texts: Texts, place: number, choose: Choose): HTMLElement {
  const name = texts.name(place);
  const shown = name.length > 120 ? `${name.slice(0, 80)} … ${name.slice(-30)}` : name;
  return el("button", { type: "button", class: "calls-place", click: () => choose(place) }, shown);
}

/** Every edge, the heaviest first. */
export class EdgeList {
  private readonly body = el("tbody");
  private readonly summary = el("summary");
  readonly element: HTMLElement;

  constructor(private readonly choose: Choose) {
    const heads = ["Caller", "Callee"].map((text) => el("th", { scope: "col" }, text));
    const numbers = ["Value", "Share"].map((text) => el("th", { scope: "col", class: "number" }, text));
    const head = el("thead", {}, el("tr", {}, ...heads, ...numbers, el("th", { scope: "col" }, "Kind")));
    const caption = el("caption", { class: "unseen" }, "Calls of the graph");
    const box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "List of calls" });
    box.append(el("table", { class: "plain" }, caption, head, this.body));
    this.element = el("details", { class: "calls-list" }, this.summary, box);
  }

  show(graph: Trimmed, texts: Texts): void {
    const { draft, edges } = graph;
    this.summary.textContent = `List of the ${edges.length} calls`;
    const rows = edges.map((edge) => {
      const kind = [draft.residual[edge] ? "through code not shown" : "direct", draft.inline[edge] ? "inlined" : ""];
      return el(
        "tr",
        {},
        el("td", {}, placeButton(texts, draft.source[edge]!, this.choose)),
        el("td", {}, placeButton(texts, draft.target[edge]!, this.choose)),
        el("td", { class: "number" }, texts.value(draft.weight[edge]!)),
        el("td", { class: "number" }, texts.share(draft.weight[edge]!)),
        el("td", {}, kind.filter(Boolean).join(", ")),
      );
    });
    this.body.replaceChildren(...rows);
  }
}

/** The chosen place: its numbers, who calls it, whom it calls, and where else to look at it. */
export class Chosen {
  readonly element = el("section", { class: "calls-detail", "aria-label": "The chosen place", "aria-live": "polite" });

  constructor(
    private readonly app: App,
    private readonly choose: Choose,
  ) {}

  show(graph: Trimmed, texts: Texts, place: number): void {
    this.element.hidden = place < 0;
    if (place < 0) return this.element.replaceChildren();
    const { draft, edges } = graph;
    const text = (value: number) => `${texts.value(value)} (${texts.share(value)})`;
    const [flat, cum] = [draft.flat[place]!, draft.cum[place]!];
    const into = edges.filter((edge) => draft.target[edge] === place);
    const out = edges.filter((edge) => draft.source[edge] === place);
    this.element.replaceChildren(
      el("h3", {}, texts.name(place)),
      el("p", { class: "faint" }, texts.where(place)),
      el("p", {}, `flat ${text(flat)}, cumulative ${text(cum)}`),
      el(
        "div",
        { class: "calls-ways" },
        this.ways("Callers", into, (edge) => draft.source[edge]!, graph, texts),
        this.ways("Callees", out, (edge) => draft.target[edge]!, graph, texts),
      ),
      el("p", { class: "calls-go" }, this.go("Show in the table", "table", texts.name(place)), this.go("Search in the flame graph", "flame", texts.name(place))),
    );
  }

  private ways(label: string, edges: readonly number[], end: (edge: number) => number, graph: Trimmed, texts: Texts): HTMLElement {
    const items = edges.map((edge) =>
      el("li", {}, placeButton(texts, end(edge), this.choose), ` ${texts.value(graph.draft.weight[edge]!)}`),
    );
    return el("div", {}, el("h4", {}, label), items.length ? el("ul", {}, ...items) : el("p", { class: "faint" }, "none shown"));
  }

  private go(label: string, view: string, query: string): HTMLElement {
    return el("button", { type: "button", click: () => this.app.state.set({ view, query }) }, label);
  }
}
