// SPDX-License-Identifier: Apache-2.0
// Which places and calls a picture shows: built, cut and built again, as analysis/graph.py and analysis/importance.py
// do it (and so Google's pprof).

import type { Draft, DraftMaker, Edges } from "./callgraph_draft";

/** Nodes at most, and the shares under which a node or an edge is not shown. */
export interface Trim {
  readonly nodes: number;
  readonly nodeFraction: number;
  readonly edgeFraction: number;
}

export const USUAL: Trim = { nodes: 80, nodeFraction: 0.005, edgeFraction: 0.001 };

export interface Trimmed {
  readonly draft: Draft;
  /** Places, the most important first. */
  readonly nodes: readonly number[];
  /** Numbers of the draft's edges, the heaviest first. */
  readonly edges: readonly number[];
  readonly nodeCutoff: number;
  readonly edgeCutoff: number;
  readonly droppedNodes: number;
  readonly droppedEdges: number;
  /** How many nodes there were before the limit cut. */
  readonly before: number;
}

/** Builds the graph of the most important places. `name` breaks ties. */
export function trimmed(maker: DraftMaker, trim: Trim, name: (place: number) => string): Trimmed {
  let draft = maker.only(new Uint8Array(maker.places).fill(1));
  let nodes = holding(draft);
  const total = nodes.reduce((sum, node) => sum + draft.flat[node]!, 0);
  const nodeCutoff = Math.abs(Math.trunc(total * trim.nodeFraction));
  const edgeCutoff = Math.abs(Math.trunc(total * trim.edgeFraction));
  const kept = nodes.filter((node) => Math.abs(draft.cum[node]!) >= nodeCutoff);
  const droppedNodes = nodes.length - kept.length;
  if (droppedNodes) {
    draft = maker.only(marks(maker.places, kept));
    nodes = holding(draft);
  }
  const before = nodes.length;
  let order = ordered(draft, nodes, name);
  if (trim.nodes < before) {
    draft = maker.only(marks(maker.places, order.slice(0, trim.nodes)));
    order = ordered(draft, holding(draft), name);
  }
  const shown = marks(maker.places, order);
  const between = draft.source.flatMap((source, edge) => (shown[source] && shown[draft.target[edge]!] ? [edge] : []));
  const large = between.filter((edge) => Math.abs(draft.weight[edge]!) >= edgeCutoff);
  const edges = withoutRedundantResiduals(draft, heaviestFirst(draft, large, name), order);
  const droppedEdges = between.length - large.length;
  return { draft, nodes: order, edges, nodeCutoff, edgeCutoff, droppedNodes, droppedEdges, before };
}

function holding(draft: Draft): number[] {
  const nodes: number[] = [];
  draft.cum.forEach((cum, place) => {
    if (cum !== 0 || draft.flat[place] !== 0) nodes.push(place);
  });
  return nodes;
}

function marks(size: number, chosen: readonly number[]): Uint8Array {
  const marked = new Uint8Array(size);
  for (const each of chosen) marked[each] = 1;
  return marked;
}

/** By falling score, then by name, flat and cum. */
function ordered(draft: Draft, nodes: readonly number[], name: (place: number) => string): number[] {
  const score = scores(draft);
  const names = new Map(nodes.map((node) => [node, name(node)]));
  const { flat, cum } = draft;
  const size = (column: Float64Array, node: number) => Math.abs(column[node]!);
  return [...nodes].sort(
    (a, b) =>
      size(score, b) - size(score, a) ||
      compare(names.get(a)!, names.get(b)!) ||
      size(flat, b) - size(flat, a) ||
      size(cum, b) - size(cum, a),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** pprof's entropy score, which prefers nodes where ways fork; 1 bit for a node without ways in, or out. */
function scores(draft: Draft): Float64Array {
  const ins = entropy(draft, draft.target, new Float64Array(draft.flat.length));
  const outs = entropy(draft, draft.source, draft.flat);
  return draft.cum.map((cum, node) => Math.trunc((ins[node]! + outs[node]!) * cum) + draft.flat[node]!);
}

/** For each node the entropy in bits of its edges at one end, its own value as one more way. */
function entropy(draft: Edges, ends: readonly number[], own: Float64Array): Float64Array {
  const total = own.slice();
  const seen = new Uint8Array(own.length);
  ends.forEach((end, edge) => {
    seen[end] = 1;
    total[end]! += Math.max(draft.weight[edge]!, 0);
  });
  const found = own.map((value, node) => (total[node] ? bits(Math.max(value, 0) / total[node]!) : 0));
  ends.forEach((end, edge) => {
    if (total[end]) found[end]! += bits(Math.abs(draft.weight[edge]!) / total[end]!);
  });
  return found.map((value, node) => (seen[node] ? value : 1));
}

/** -p log2 p, 0 for what is not a share. */
function bits(share: number): number {
  return share > 0 ? -share * Math.log2(share) : 0;
}

function heaviestFirst(draft: Edges, edges: readonly number[], name: (place: number) => string): number[] {
  const [source, target] = [(edge: number) => name(draft.source[edge]!), (edge: number) => name(draft.target[edge]!)];
  const weight = (edge: number) => Math.abs(draft.weight[edge]!);
  return [...edges].sort(
    (a, b) => weight(b) - weight(a) || compare(source(a), source(b)) || compare(target(a), target(b)),
  );
}

/** Residual edges go whose ends are connected in another way: from the last node on, its lightest edge first, up to the
 * first edge that is not residual. */
function withoutRedundantResiduals(draft: Edges, edges: readonly number[], nodes: readonly number[]): number[] {
  const waysIn = new Map<number, number[]>();
  for (const edge of edges) {
    const target = draft.target[edge]!;
    waysIn.set(target, [...(waysIn.get(target) ?? []), edge]);
  }
  const gone = new Set<number>();
  for (const node of [...nodes].reverse()) {
    for (const edge of [...(waysIn.get(node) ?? [])].reverse()) {
      if (!draft.residual[edge]) break;
      if (!connected(draft, edge, waysIn)) continue;
      gone.add(edge);
      waysIn.set(node, waysIn.get(node)!.filter((each) => each !== edge));
    }
  }
  return edges.filter((edge) => !gone.has(edge));
}

/** Whether there is a way between an edge's ends that does not use it. */
function connected(draft: Edges, without: number, waysIn: ReadonlyMap<number, readonly number[]>): boolean {
  const [start, end] = [draft.source[without]!, draft.target[without]!];
  const seen = new Set([end]);
  const waiting = [end];
  while (waiting.length) {
    for (const edge of waysIn.get(waiting.pop()!) ?? []) {
      const source = draft.source[edge]!;
      if (edge === without || seen.has(source)) continue;
      if (source === start) return true;
      seen.add(source);
      waiting.push(source);
    }
  }
  return false;
}
