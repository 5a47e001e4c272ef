// SPDX-License-Identifier: Apache-2.0
// A call graph over some places, summed over the document's tree. The rules are those of analysis/drafts.py: each stack
// is walked from the root to where its value stands; a place and an edge get the value once; places that are not shown
// make the edge across them residual; if the last place is not shown, nobody gets the value as flat.
//
// A node of the tree stands for all stacks through it, so one walk over the tree does for all of them.

import { magnitudes, type Dataset, type Grouping } from "./sums";

/** Calls, as columns; `source` and `target` are places. */
export interface Edges {
  readonly source: number[];
  readonly target: number[];
  readonly weight: number[];
  /** At least one stack has places between the two that are not shown. */
  readonly residual: boolean[];
  /** In every stack the compiler inlined the target into the source. */
  readonly inline: boolean[];
}

/** Flat and cum of each place (0 for those that are not shown), and the edges between those that are. */
export interface Draft extends Edges {
  readonly flat: Float64Array;
  readonly cum: Float64Array;
}

/** What drafts are made of: the tree with its sums. */
export class DraftMaker {
  readonly places: number;
  private readonly self: Float64Array;
  private readonly total: Float64Array;
  /** 0 for nodes that no stack with a value passes through. */
  private readonly touched: Float64Array;

  constructor(
    private readonly dataset: Dataset,
    private readonly grouping: Grouping,
    private readonly inlined: (node: number) => boolean,
    values: Float64Array,
    at: Uint32Array,
  ) {
    this.places = grouping.sample.length;
    ({ self: this.self, total: this.total } = dataset.byNode(values, at));
    this.touched = dataset.byNode(magnitudes(values), at).total;
  }

  /** The draft over the places that are marked. */
  only(shown: Uint8Array): Draft {
    const { parent } = this.dataset;
    const { row } = this.grouping;
    const walk = new Walk(this.places);
    // The root is a place only for the stacks that have no frame.
    if (shown[row[0]!]) walk.draft.flat[row[0]!] = walk.draft.cum[row[0]!] = this.self[0]!;
    walk.pass(0);
    for (let node = 1; node < parent.length; node++) {
      if (!this.touched[node]) continue; // nor is anything below it
      walk.leaveTo(parent[node]!);
      const place = row[node]!;
      if (!shown[place]) walk.pass(node);
      else walk.enter(node, place, this.total[node]!, this.inlined(node));
      if (shown[place]) walk.draft.flat[place]! += this.self[node]!;
    }
    return walk.draft;
  }
}

/** The way from the root to a node: which places and edges are on it, and which of its places is the last one shown. */
class Walk {
  readonly draft: Draft;
  private readonly onPath: Int32Array;
  private readonly numbers = new Map<number, number>();
  private readonly edgeOnPath: number[] = [];
  // Along the path: node, its place (-1 when not shown), the edge that it is the end of (-1 for none), and the last
  // shown place so far (-1 for none).
  private readonly nodes: number[] = [];
  private readonly placed: number[] = [];
  private readonly edges: number[] = [];
  private readonly last: number[] = [];

  constructor(private readonly places: number) {
    this.onPath = new Int32Array(places);
    const [flat, cum] = [new Float64Array(places), new Float64Array(places)];
    this.draft = { flat, cum, source: [], target: [], weight: [], residual: [], inline: [] };
  }

  /** Goes back up to a node. */
  leaveTo(node: number): void {
    while (this.nodes.length && this.nodes[this.nodes.length - 1] !== node) {
      this.nodes.pop();
      this.last.pop();
      const [place, edge] = [this.placed.pop()!, this.edges.pop()!];
      if (place >= 0) this.onPath[place]!--;
      if (edge >= 0) this.edgeOnPath[edge]!--;
    }
  }

  /** A node that is not shown. */
  pass(node: number): void {
    this.push(node, -1, -1, this.last[this.last.length - 1] ?? -1);
  }

  enter(node: number, place: number, total: number, inlined: boolean): void {
    if (this.onPath[place] === 0) this.draft.cum[place]! += total;
    const caller = this.last[this.last.length - 1] ?? -1;
    const direct = this.placed[this.placed.length - 1] === caller;
    const edge = caller >= 0 && caller !== place ? this.edge(caller, place) : -1;
    if (edge >= 0) {
      if (this.edgeOnPath[edge] === 0) {
        this.draft.weight[edge]! += total;
        this.draft.residual[edge] ||= !direct;
        this.draft.inline[edge] &&= inlined;
      }
      this.edgeOnPath[edge]!++;
    }
    this.onPath[place]!++;
    this.push(node, place, edge, place);
  }

  private push(node: number, place: number, edge: number, last: number): void {
    this.nodes.push(node);
    this.placed.push(place);
    this.edges.push(edge);
    this.last.push(last);
  }

  private edge(source: number, target: number): number {
    const key = source * this.places + target;
    let number = this.numbers.get(key);
    if (number === undefined) {
      const { draft } = this;
      number = draft.source.push(source) - 1;
      this.numbers.set(key, number);
      draft.target.push(target);
      draft.weight.push(0);
      draft.residual.push(false);
      draft.inline.push(true);
      this.edgeOnPath.push(0);
    }
    return number;
  }
}
