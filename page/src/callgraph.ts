// SPDX-License-Identifier: Apache-2.0
// The call graph: a picture by Graphviz, what is chosen in it, and every edge as text.

import type { App } from "./app";
import { DraftMaker } from "./callgraph_draft";
import { dot, type Texts } from "./callgraph_dot";
import { graphviz, pictureOf } from "./callgraph_layout";
import { Chosen, EdgeList } from "./callgraph_lists";
import { sortName } from "./callgraph_names";
import { Pan } from "./callgraph_pan";
import { trimmed, USUAL, type Trimmed } from "./callgraph_trim";
import { select } from "./controls";
import { el, setText } from "./dom";
import { baseName, fileOf, frameText, placeText } from "./names";
import type { Change } from "./state";
import "./style/callgraph.css";
import { magnitudes, NO_FRAME, sum } from "./sums";
import { count, percent, quantity } from "./units";
import type { View } from "./views";

const LIMITS = ["20", "40", "80", "160"] as const;
/** A range that is being dragged changes many times a second; the graph follows when it rests. */
const STILL_MS = 120;
const HINT = "Drag to move, Ctrl and the wheel to zoom; a click shows callers and callees.";
/** Settings that change nothing here. */
const ASIDE: ReadonlySet<string> = new Set(["query", "focus", "sort", "theme", "view"]);

export class CallGraph implements View {
  private app!: App;
  private graph!: Trimmed;
  private texts!: Texts;
  private pan: Pan | null = null;
  private end = new AbortController();
  private chosen = -1;
  private drawn = 0;
  private waiting = 0;
  private limit!: ReturnType<typeof select<string>>;
  private readonly caption = el("p", { class: "note" });
  private readonly frame = el("div", {
    class: "calls-frame",
    role: "application",
    tabindex: 0,
    "aria-label": "Picture of the call graph: arrows move it, plus and minus zoom, 0 fits it. The list below has every call.",
  });
  private readonly status = el("p", { class: "calls-status", role: "status" });
  private list!: EdgeList;
  private details!: Chosen;

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    const options = LIMITS.map((limit) => [limit, `${limit} nodes`] as const);
    this.limit = select<string>("Show at most", options, (limit) =>
      app.state.setMore("calls.nodes", limit === String(USUAL.nodes) ? null : limit),
    );
    const choose = (place: number) => {
      this.choose(place);
      const node = partOf(this.frame, `n${this.graph.nodes.indexOf(place)}`);
      if (node) this.pan?.center(node);
    };
    this.list = new EdgeList(choose);
    this.details = new Chosen(app, choose);
    host.append(
      el("div", { class: "calls-tools" }, this.limit.element, this.zoomButtons(), el("span", { class: "faint" }, HINT)),
      ...[this.caption, el("div", { class: "calls-box" }, this.frame, this.status), this.details.element, this.list.element],
    );
    this.frame.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && this.pan?.key(event.key)) event.preventDefault();
    });
    this.frame.addEventListener("click", (event) => this.onClick(event));
    this.draw();
  }

  update(change: Change): void {
    if (![...change].some((key) => !ASIDE.has(key))) return;
    clearTimeout(this.waiting);
    this.say("Drawing the graph");
    this.waiting = window.setTimeout(() => this.draw(), STILL_MS);
  }

  private zoomButtons(): HTMLElement {
    const button = (text: string, label: string, key: string) =>
      el("button", { type: "button", "aria-label": label, title: label, click: () => void this.pan?.key(key) }, text);
    return el("span", { class: "flame-zoom" }, button("+", "zoom in", "+"), button("−", "zoom out", "-"), button("Fit", "fit the picture", "0"));
  }

  private draw(): void {
    const { app } = this;
    const grouping = app.grouping();
    const values = app.values();
    const inlined = (node: number) => {
      const frame = app.dataset.frame[node]!;
      return frame < NO_FRAME && (app.document.frames.flags[frame]! & 1) === 1;
    };
    const chosen = app.state.now.more["calls.nodes"] ?? "";
    const nodes = LIMITS.some((limit) => limit === chosen) ? Number(chosen) : USUAL.nodes;
    this.limit.set(String(nodes));
    this.texts = this.makeTexts(sum(magnitudes(values)));
    const name = (place: number) => sortName(app.document, grouping.sample[place]!, app.state.now.by);
    this.graph = trimmed(new DraftMaker(app.dataset, grouping, inlined, values, app.at), { ...USUAL, nodes }, name);
    setText(this.caption, this.told());
    this.list.show(this.graph, this.texts);
    if (!this.graph.nodes.includes(this.chosen)) this.chosen = -1;
    this.details.show(this.graph, this.texts, this.chosen);
    void this.lay(dot(this.graph, sum(magnitudes(values)), this.texts));
  }

  private makeTexts(whole: number): Texts {
    const { app } = this;
    const { by } = app.state.now;
    const sample = app.grouping().sample;
    return {
      name: (place) => placeText(app.document, sample[place]!, by === "line" || by === "address" ? "function" : by),
      where: (place) => (by === "file" || by === "module" ? "" : shortWhere(app, sample[place]!, by)),
      value: (value) => quantity(value, app.unit, app.isDifference),
      share: (value) => percent(value, whole),
    };
  }

  /** What the picture shows, and what it leaves out. */
  private told(): string {
    const { app, graph } = this;
    if (!graph.nodes.length) return "Nothing to show in this range.";
    const shown = graph.nodes.reduce((held, place) => held + graph.draft.flat[place]!, 0);
    const parts = [`Shown: ${this.texts.value(shown)}, ${this.texts.share(shown)}.`];
    const under = (cutoff: number) => quantity(cutoff, app.unit);
    if (graph.nodes.length < graph.before) {
      parts.push(`The ${graph.nodes.length} most important nodes of ${count(graph.before)}.`);
    }
    if (graph.droppedNodes) parts.push(`Left out: ${count(graph.droppedNodes)} nodes under ${under(graph.nodeCutoff)}.`);
    if (graph.droppedEdges) parts.push(`Left out: ${count(graph.droppedEdges)} edges under ${under(graph.edgeCutoff)}.`);
    parts.push("In a box: flat of cumulative. A dashed edge passes through code that is not shown.");
    return parts.join(" ");
  }

  /** Has the graph laid out and shows it, unless another one was asked for meanwhile. */
  private async lay(source: string): Promise<void> {
    const drawing = ++this.drawn;
    this.say("Drawing the graph");
    try {
      const engine = await graphviz();
      if (drawing !== this.drawn) return;
      this.show(pictureOf(engine.dot(source)));
      this.say("");
    } catch (error) {
      this.say(`The graph could not be drawn: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private say(text: string): void {
    this.status.hidden = !text;
    setText(this.status, text);
  }

  private show(picture: SVGSVGElement): void {
    this.end.abort();
    this.end = new AbortController();
    const { graph, texts } = this;
    picture.setAttribute("aria-hidden", "true"); // all of it stands in the list
    picture.querySelectorAll("title").forEach((title) => title.remove());
    for (const part of picture.querySelectorAll<SVGElement>("[id]")) {
      part.dataset["part"] = part.id; // ids are the page's, and there may be two graphs on it
      part.removeAttribute("id");
    }
    this.frame.replaceChildren(picture);
    graph.nodes.forEach((place, i) => {
      const node = partOf(picture, `n${i}`);
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = `${texts.name(place)} ${texts.where(place)}\nflat ${texts.value(graph.draft.flat[place]!)}, cumulative ${texts.value(graph.draft.cum[place]!)}`;
      node?.prepend(title);
    });
    this.pan = new Pan(this.frame, picture);
    this.pan.listen(this.end.signal);
    this.mark();
  }

  private onClick(event: MouseEvent): void {
    const node = (event.target as Element).closest<SVGElement>("g.node");
    const place = node ? this.graph.nodes[Number(node.dataset["part"]?.slice(1))] : undefined;
    this.choose(place ?? -1);
  }

  /** Chooses a place; -1 for none. */
  private choose(place: number): void {
    this.chosen = place;
    this.details.show(this.graph, this.texts, place);
    this.mark();
  }

  /** Shows which node is chosen, and its calls. */
  private mark(): void {
    const { graph, chosen } = this;
    this.frame.classList.toggle("calls-chosen", chosen >= 0);
    graph.nodes.forEach((place, i) => partOf(this.frame, `n${i}`)?.classList.toggle("marked", place === chosen));
    graph.edges.forEach((edge, i) => {
      const ends = graph.draft.source[edge] === chosen || graph.draft.target[edge] === chosen;
      partOf(this.frame, `e${i}`)?.classList.toggle("marked", ends);
    });
  }
}

/** A node (`n3`) or an edge (`e3`) of a picture. */
function partOf(picture: Element, part: string): SVGGraphicsElement | null {
  return picture.querySelector<SVGGraphicsElement>(`[data-part="${part}"]`);
}

/** `server.c:73`; by function the file alone; the module where there is no file. */
function shortWhere(app: App, frame: number, by: string): string {
  const file = fileOf(app.document, frame);
  if (file === null) return frameText(app.document, frame).module;
  const line = frame < NO_FRAME ? app.document.frames.line[frame]! : 0;
  return by !== "function" && line ? `${baseName(file)}:${line}` : baseName(file);
}
