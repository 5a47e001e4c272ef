// SPDX-License-Identifier: Apache-2.0
// The flame graph: a canvas, its controls, and a tree of real text behind it that the keyboard walks.

import type { App } from "./app";
import { el, setText, uniqueId } from "./dom";
import "./style/flame.css";
import { FlameCanvas } from "./flame_canvas";
import { Controls, found, Legend, Path } from "./flame_controls";
import { Details, Tooltip } from "./flame_detail";
import { FlameItems } from "./flame_items";
import { childrenOf, siblings } from "./flame_layout";
import { FlameMenu, type Action } from "./flame_menu";
import { FlameModel, joined } from "./flame_model";
import { next } from "./flame_search";
import { pathTo } from "./flame_tree";
import type { Change } from "./state";
import { isDark, isPrinting } from "./theme";
import type { View } from "./views";

const HELP = "Arrow keys move from box to box, Enter zooms to one, Escape resets that, slash searches.";

export class Flame implements View {
  private app!: App;
  private model!: FlameModel;
  private canvas!: FlameCanvas;
  private controls!: Controls;
  private path!: Path;
  private items!: FlameItems;
  private tree!: HTMLElement;
  private readonly legend = new Legend();
  private readonly tooltip = new Tooltip();
  private readonly details = new Details();
  private readonly menu = new FlameMenu();
  private readonly live = el("div", { class: "unseen", "aria-live": "polite" });
  private readonly empty = el("p", { class: "empty", hidden: true });
  /** Where the keyboard stands, and what the graph begins with. */
  private cursor = 0;
  private root = 0;

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    this.model = new FlameModel(app);
    this.items = new FlameItems(this.model);
    this.canvas = new FlameCanvas(
      {
        hover: (over, point) => this.tooltip.show(this.model, app, over, point),
        click: (node) => this.zoom(node),
        menu: (node, point) => this.openMenu(node, point),
      },
      () => isDark(app.state),
    );
    this.controls = new Controls(app, {
      step: (by) => this.toMatch(by),
      zoom: (factor) => this.canvas.zoomBy(factor),
      reset: () => this.zoom(0),
    });
    this.path = new Path((node) => this.zoom(node));
    const help = el("p", { class: "unseen", id: uniqueId("flame-help") }, HELP);
    const named = { "aria-label": "Flame graph", "aria-describedby": help.id };
    this.tree = el("div", { class: "flame-tree", role: "tree", tabindex: 0, ...named });
    this.tree.addEventListener("keydown", (event) => this.onKey(event));
    // A click gives the focus as well, and the rows must not move under the pointer.
    this.tree.addEventListener("focus", () => this.moveTo(this.cursor, this.tree.matches(":focus-visible")));
    this.tree.addEventListener("blur", () => this.canvas.mark(-1));
    this.tree.append(this.items.element, this.canvas.element);
    host.append(this.controls.element, this.path.element, this.tree, this.empty, this.legend.element, this.details.element);
    host.append(this.tooltip.element, this.menu.element, this.live, help);
    this.show();
    this.follow();
    this.toFirstMatch();
  }

  update(change: Change): void {
    const { tree, layout } = this.model;
    const cursor = this.model.keyOf(this.cursor);
    this.model.refresh(change.has("document"));
    if (this.model.tree !== tree) {
      this.root = 0;
      this.cursor = this.model.nodeOf(cursor);
    }
    this.show();
    const elsewhere = change.has("focus") && this.model.keyOf(this.root) !== this.app.state.now.focus;
    if (this.model.layout !== layout || elsewhere) this.follow();
    if (!change.has("query") || !this.model.matches) return;
    this.say(found(this.model));
    if (document.activeElement !== this.controls.search) this.toFirstMatch();
  }

  /** Draws everything for what the model holds now. */
  private show(): void {
    const { model } = this;
    const nothing = model.layout.width[0] === 0;
    this.tree.hidden = this.legend.element.hidden = this.details.element.hidden = nothing;
    this.empty.hidden = !nothing;
    if (nothing) setText(this.empty, model.options.only ? "No stack passes through this place in this range." : "Nothing to show in this range.");
    this.controls.update(model);
    this.legend.show(model, isDark(this.app.state));
    const { tree, layout, colours, matches, options } = model;
    this.canvas.show({
      ...{ tree, layout, colours, matches, flame: options.flame },
      name: (node) => model.name(node),
      short: (node) => model.short(node),
      value: (node) => model.quantity(layout.total[node]!),
    });
  }

  /** Goes where the settings say: the box in the fragment, if it is there. */
  private follow(): void {
    const { focus } = this.app.state.now;
    const { model } = this;
    // Places of the same name have the same key: what is shown already is meant.
    const here = model.layout.width[this.root]! > 0 && model.keyOf(this.root) === focus;
    if (!here) this.root = model.nodeOf(focus);
    const within = this.root === 0 || pathTo(model.tree, this.cursor).includes(this.root);
    if (!within) this.cursor = this.root;
    if (!model.layout.width[this.cursor]) this.cursor = this.root;
    this.path.show(model, this.root);
    this.canvas.zoomTo(this.root, false);
    this.moveTo(this.cursor, false);
  }

  private zoom(node: number): void {
    this.cursor = this.root = node;
    this.path.show(this.model, node);
    this.canvas.zoomTo(node, true);
    this.app.state.set({ focus: this.model.keyOf(node) });
    this.moveTo(node);
    this.say(node ? `zoomed to ${this.model.name(node)}` : "zoom reset");
  }

  /** Puts the keyboard on a box. */
  private moveTo(node: number, reveal = true): void {
    this.cursor = node;
    this.tree.setAttribute("aria-activedescendant", this.items.around(node));
    this.details.show(this.model, this.app, node);
    if (reveal) this.canvas.reveal(node);
    this.canvas.mark(document.activeElement === this.tree || node !== this.root ? node : -1);
  }

  /** Another part of the page asked for a place: the first box of it is shown. Who types goes there by Enter. */
  private toFirstMatch(): void {
    const first = this.model.matches?.nodes[0];
    if (first !== undefined && this.root === 0 && !isPrinting()) this.moveTo(first);
  }

  private toMatch(by: 1 | -1): void {
    const { matches } = this.model;
    const node = matches && next(matches, this.cursor, by);
    if (node === null) return;
    this.moveTo(node);
    this.say(`${this.model.name(node)}, match ${matches!.nodes.indexOf(node) + 1} of ${matches!.nodes.length}`);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const to = this.neighbour(event.key);
    if (to !== null) this.moveTo(to);
    else if (!this.command(event.key, event.shiftKey)) return;
    event.preventDefault();
  }

  /** The box that a key leads to, or null for other keys. */
  private neighbour(key: string): number | null {
    const { tree, layout, options } = this.model;
    const [deeper, back] = options.flame ? ["ArrowUp", "ArrowDown"] : ["ArrowDown", "ArrowUp"];
    if (key === "Home") return this.root;
    if (key === deeper) return childrenOf(layout, this.cursor)[0] ?? this.cursor;
    if (key === back) return tree.parent[this.cursor]!;
    if (key !== "ArrowLeft" && key !== "ArrowRight") return null;
    const among = siblings(layout, tree, this.cursor);
    return among[among.indexOf(this.cursor) + (key === "ArrowRight" ? 1 : -1)] ?? this.cursor;
  }

  private command(key: string, shift: boolean): boolean {
    if (key === "Enter" || key === " ") this.zoom(this.cursor);
    else if (key === "Escape") this.zoom(0);
    else if (key === "/") this.controls.search.focus();
    else if (key === "n" || key === "N") this.toMatch(shift ? -1 : 1);
    else if (key === "+" || key === "=") this.canvas.zoomBy(1.6);
    else if (key === "-") this.canvas.zoomBy(1 / 1.6);
    else if (key === "ContextMenu" || (key === "F10" && shift)) this.openMenu(this.cursor, this.canvas.pointOf(this.cursor));
    else {
      const action = this.actions(this.cursor).find((each) => each.key === key);
      action?.run();
      return action !== undefined;
    }
    return true;
  }

  private actions(node: number): Action[] {
    const { model, app } = this;
    const zoom = { label: "Zoom to this box", key: "Enter", run: () => this.zoom(node) };
    if (node === 0) return [zoom];
    const name = model.name(node);
    const without = [...model.options.without.filter((each) => each !== name), name];
    return [
      zoom,
      { label: "Only stacks through this place", key: "f", run: () => app.state.setMore("flame.only", name) },
      { label: "Take this place out", key: "h", run: () => app.state.setMore("flame.without", joined(without)) },
      { label: "Copy the name", key: "c", run: () => void this.copy(name) },
    ];
  }

  private openMenu(node: number, point: { x: number; y: number }): void {
    this.moveTo(node, false);
    this.tooltip.element.hidden = true;
    this.menu.open(this.actions(node), point, this.tree);
  }

  private async copy(name: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(name);
      this.say("copied");
    } catch {
      this.say("the browser does not allow copying");
    }
  }

  private say(text: string): void {
    setText(this.live, text);
  }
}
