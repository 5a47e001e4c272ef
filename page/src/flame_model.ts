// SPDX-License-Identifier: Apache-2.0
// What the flame graph shows, made of the document and the settings, step by step: tree, weights, layout, colours,
// matches. A step is done again only when something changed that it is made of.

import type { App } from "./app";
import { FOLDED, type Role } from "./document";
import { coloursOf, type Colouring, type Colours } from "./flame_colours";
import { arrange, weigh, type Layout } from "./flame_layout";
import { find, type Matches } from "./flame_search";
import { matcher, shortName } from "./flame_text";
import { invertedTree, mergedTree, pathTo, under, type FlameTree } from "./flame_tree";
import { baseName, frameText, placeText, type FrameText } from "./names";
import { magnitudes, NO_FRAME, sum, type Grouping } from "./sums";
import { percent, quantity } from "./units";

/** The view's own settings, as they stand in the fragment under `flame.`; "" is as usual. */
export interface Options {
  /** The root at the bottom. */
  readonly flame: boolean;
  /** From the site up to the root: who called it stands below. */
  readonly inverted: boolean;
  /** With a base: boxes as wide as what stands at the end of the range, not as the change. */
  readonly end: boolean;
  readonly colour: Colouring;
  /** Only stacks through places of this name; "" for all. */
  readonly only: string;
  /** Names of places that are taken out. */
  readonly without: readonly string[];
}

const SEPARATOR = "\n";

/** Reads the options. Without a choice, a difference is coloured by what changed. */
export function optionsOf(app: App): Options {
  const more = app.state.now.more;
  const chosen = more["flame.colour"];
  const usual = app.isDifference && app.state.now.value.startsWith("inuse") ? "change" : "module";
  return {
    flame: more["flame.order"] === "flame",
    inverted: more["flame.from"] === "site",
    end: app.isDifference && more["flame.width"] === "end",
    colour: chosen === "module" || chosen === "role" || chosen === "change" ? chosen : usual,
    only: more["flame.only"] ?? "",
    without: (more["flame.without"] ?? "").split(SEPARATOR).filter(Boolean),
  };
}

/** Names for the fragment. */
export function joined(names: readonly string[]): string | null {
  return names.length ? names.join(SEPARATOR) : null;
}

export class FlameModel {
  options: Options;
  tree!: FlameTree;
  layout!: Layout;
  colours!: Colours;
  matches: Matches | null = null;
  /** Whether the search is an expression that cannot be read. */
  badQuery = false;
  /** What shares are shares of: the sum over all stacks, without their signs. */
  whole = 0;
  private grouping!: Grouping;
  /** Where each stack's value stands: nodes that `tree.of` knows. */
  private at!: ArrayLike<number>;
  private names: string[] = [];
  /** Made when they are first asked for: most places never have a box that is wide enough. */
  private shorts: (string | undefined)[] = [];
  private made = ["", "", "", ""];

  constructor(private readonly app: App) {
    this.options = optionsOf(app);
    this.refresh();
  }

  /** Does what the settings ask for. `all`: the document is another one. */
  refresh(all = false): void {
    const { app } = this;
    const { by, hide, value, query, kind } = app.state.now;
    const { a, b } = app.range;
    if (all) this.made = ["", "", "", ""];
    this.options = optionsOf(app);
    const { only, without, end, colour, inverted } = this.options;
    // Read from the site, a tree depends on where that is.
    const tree = JSON.stringify([kind, by, without, inverted, inverted && hide]);
    const layout = JSON.stringify([tree, hide, value, a, b, end, only]);
    const steps = [tree, layout, JSON.stringify([layout, colour]), JSON.stringify([layout, query])];
    const work = [this.makeTree, this.makeLayout, this.makeColours, this.makeMatches];
    work.forEach((step, i) => {
      if (this.made[i] !== steps[i]) step.call(this);
    });
    this.made = steps;
  }

  private makeTree(): void {
    const { app } = this;
    const { by } = app.state.now;
    this.grouping = app.grouping();
    this.names = this.grouping.sample.map((frame) => placeText(app.document, frame, by));
    this.shorts = [];
    const hidden = this.placesNamed(this.options.without);
    const collapse = by === "file" || by === "module";
    const { parent } = app.dataset;
    const { row } = this.grouping;
    if (this.options.inverted) ({ tree: this.tree, at: this.at } = invertedTree(parent, row, app.at, { hidden, collapse }));
    else this.tree = mergedTree(parent, row, { hidden, collapse });
  }

  private makeLayout(): void {
    const { app, tree } = this;
    const values = app.values();
    const shown = this.options.end ? app.values({ a: -1, b: app.range.b }) : values;
    const { only } = this.options;
    const chosen = only ? this.placesNamed([only]) : null;
    const inside = chosen ? under(tree, (place) => chosen[place] === 1) : undefined;
    this.layout = arrange(tree, weigh(tree, this.options.inverted ? this.at : app.at, shown, values, inside));
    this.whole = sum(magnitudes(shown));
  }

  private makeColours(): void {
    this.colours = coloursOf(this.options.colour, this.tree, this.layout, {
      module: (node) => this.column("module", node) - 1,
      role: (node) => (this.frameOf(node) >= NO_FRAME ? -1 : ((this.column("flags", node) >> 1) as Role)),
      moduleName: (module) => baseName(this.app.header.modules[module] ?? "no module"),
    });
  }

  private makeMatches(): void {
    const query = this.app.state.now.query;
    const matches = matcher(query);
    this.badQuery = matches === null;
    this.matches = null;
    if (matches && query.trim()) {
      this.matches = find(this.tree, this.layout, Uint8Array.from(this.names, (name) => (matches(name) ? 1 : 0)));
    }
  }

  private placesNamed(names: readonly string[]): Uint8Array {
    const wanted = new Set(names);
    return Uint8Array.from(this.names, (name) => (wanted.has(name) ? 1 : 0));
  }

  private column(name: "module" | "flags", node: number): number {
    const frame = this.frameOf(node);
    return frame >= NO_FRAME ? 0 : this.app.document.frames[name][frame]!;
  }

  /** The frame that a node was first made of; `FOLDED` for folded call paths, `NO_FRAME` for the root. */
  frameOf(node: number): number {
    return node === 0 ? NO_FRAME : this.app.dataset.frame[this.tree.origin[node]!]!;
  }

  name(node: number): string {
    return node === 0 ? "all" : this.names[this.tree.place[node]!]!;
  }

  /** As much of the name as tells what it is: without arguments, without folders. */
  short(node: number): string {
    if (node === 0) return "all";
    const { by } = this.app.state.now;
    const shorten = by === "file" || by === "module" ? baseName : shortName;
    return (this.shorts[this.tree.place[node]!] ??= shorten(this.name(node)));
  }

  /** Where its code is; empty for the root and for folded call paths. */
  source(node: number): FrameText {
    const frame = this.frameOf(node);
    return frame === NO_FRAME || frame === FOLDED ? { name: "", where: "", module: "" } : frameText(this.app.document, frame);
  }

  /** Whether the numbers are changes, and so have a sign. */
  get signed(): boolean {
    return this.app.isDifference && !this.options.end;
  }

  quantity(value: number, signed = this.signed): string {
    return quantity(value, this.app.unit, signed);
  }

  /** A share of everything, what a filter leaves out included. */
  share(value: number): string {
    return percent(value, this.whole);
  }

  /** A node as it is written in the fragment: a hash of the names on the way to it, so that it means the same in
   * another document. "" for the root. */
  keyOf(node: number): string {
    if (node === 0) return "";
    return pathTo(this.tree, node).reduce((hash, at) => hashed(hash, this.name(at)), SEED).toString(36);
  }

  /** The node with a key; the root where there is none. */
  nodeOf(key: string): number {
    const wanted = parseInt(key, 36);
    if (Number.isNaN(wanted)) return 0;
    const hashes = new Uint32Array(this.tree.size);
    hashes[0] = SEED;
    for (let node = 1; node < this.tree.size; node++) {
      hashes[node] = hashed(hashes[this.tree.parent[node]!]!, this.name(node));
      if (hashes[node] === wanted && this.layout.width[node]! > 0) return node;
    }
    return 0;
  }
}

const SEED = 0x811c9dc5;

/** FNV-1a over the letters of a name, begun with another hash. */
function hashed(start: number, name: string): number {
  let hash = start ^ 0x5f;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
