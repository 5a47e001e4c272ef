// SPDX-License-Identifier: Apache-2.0
// Where each box of a flame graph lies, in units of what is measured, and which boxes a view of it shows.
//
// A box is as wide as its stacks' values added up without their signs, so that in a difference growth does not hide
// shrinkage; where nothing shrank that is the value itself. Callees stand heaviest first, so everything too small to be
// seen is at the end of its row and is drawn as one block.

import type { FlameTree } from "./flame_tree";

/** What each node weighs; all columns by node, in bytes or objects. */
export interface Weights {
  /** What stands at the node itself. */
  readonly self: Float64Array;
  /** With everything it called. */
  readonly total: Float64Array;
  /** The change over the range of everything at or under it. */
  readonly change: Float64Array;
  /** How wide it is drawn. */
  readonly width: Float64Array;
}

export interface Layout extends Weights {
  /** Left edge. */
  readonly x: Float64Array;
  /** Children of node n, heaviest first: `kids[first[n]]` to `kids[first[n + 1] - 1]`; those without width are not in. */
  readonly first: Int32Array;
  readonly kids: Int32Array;
  /** Rows that have boxes, the root's included. */
  readonly rows: number;
}

/**
 * The weights of a tree's nodes. `at` has the document node where each stack's value stands, `shown` and `change` have
 * what is shown of it and its change; `inside` leaves out the stacks that stand at other nodes.
 */
export function weigh(
  tree: FlameTree,
  at: ArrayLike<number>,
  shown: Float64Array,
  change: Float64Array,
  inside?: Uint8Array,
): Weights {
  const { size, parent, of } = tree;
  const self = new Float64Array(size);
  const changed = new Float64Array(size);
  for (let stack = 0; stack < shown.length; stack++) {
    const node = of[at[stack]!]!;
    if (inside && !inside[node]) continue;
    self[node]! += shown[stack]!;
    changed[node]! += change[stack]!;
  }
  const total = self.slice();
  const width = self.map(Math.abs);
  for (let node = size - 1; node > 0; node--) {
    const above = parent[node]!;
    total[above]! += total[node]!;
    width[above]! += width[node]!;
    changed[above]! += changed[node]!;
  }
  return { self, total, change: changed, width };
}

/** Puts siblings side by side, heaviest first; among equals the order of the tree. */
export function arrange(tree: FlameTree, weights: Weights): Layout {
  const { size, depth } = tree;
  const { width } = weights;
  const { first, kids } = children(tree, width);
  const x = new Float64Array(size);
  let rows = 1;
  for (let node = 0; node < size; node++) {
    if (width[node] === 0 && node > 0) continue;
    rows = Math.max(rows, depth[node]! + 1);
    let left = x[node]!;
    for (let i = first[node]!; i < first[node + 1]!; i++) {
      x[kids[i]!] = left;
      left += width[kids[i]!]!;
    }
  }
  return { ...weights, x, first, kids, rows };
}

function children(tree: FlameTree, width: Float64Array): { first: Int32Array; kids: Int32Array } {
  const { size, parent } = tree;
  const first = new Int32Array(size + 1);
  for (let node = 1; node < size; node++) if (width[node]! > 0) first[parent[node]! + 1]!++;
  for (let node = 0; node < size; node++) first[node + 1]! += first[node]!;
  const kids = new Int32Array(first[size]!);
  const next = first.slice(0, size);
  for (let node = 1; node < size; node++) if (width[node]! > 0) kids[next[parent[node]!]!++] = node;
  for (let node = 0; node < size; node++) {
    if (first[node + 1]! - first[node]! > 1) {
      kids.subarray(first[node]!, first[node + 1]!).sort((a, b) => width[b]! - width[a]! || a - b);
    }
  }
  return { first, kids };
}

/** What part of the graph is looked at: from `left` to `right` in units of the layout, and rows by number. */
export interface Window {
  readonly left: number;
  readonly right: number;
  /** Pixels between left and right. */
  readonly pixels: number;
  readonly topRow: number;
  readonly bottomRow: number;
}

/** Is told what to draw: a node, or `count` siblings from `node` on that are too small to be seen one by one. */
export type Emit = (node: number, row: number, left: number, right: number, count: number) => void;

/** Pixels under which a box is not drawn on its own. */
export const SMALLEST = 0.3;

/** Walks over what a window shows, callers before callees. Costs what is seen, not what there is. */
export function visit(layout: Layout, tree: FlameTree, window: Window, emit: Emit): void {
  const perPixel = (window.right - window.left) / window.pixels;
  const smallest = SMALLEST * perPixel;
  const stack = [0];
  emitNode(layout, window, 0, 0, emit);
  while (stack.length) {
    const node = stack.pop()!;
    const row = tree.depth[node]! + 1;
    if (row > window.bottomRow) continue;
    const end = layout.first[node + 1]!;
    for (let i = firstFrom(layout, node, window.left); i < end; i++) {
      const kid = layout.kids[i]!;
      const left = layout.x[kid]!;
      if (left >= window.right) break;
      if (layout.width[kid]! < smallest) {
        const last = layout.kids[end - 1]!;
        if (row >= window.topRow) emit(kid, row, left, layout.x[last]! + layout.width[last]!, end - i);
        break;
      }
      emitNode(layout, window, kid, row, emit);
      stack.push(kid);
    }
  }
}

function emitNode(layout: Layout, window: Window, node: number, row: number, emit: Emit): void {
  const left = layout.x[node]!;
  if (row >= window.topRow && row <= window.bottomRow) emit(node, row, left, left + layout.width[node]!, 1);
}

/** Index into `kids` of the first child of a node that ends behind x. */
function firstFrom(layout: Layout, node: number, x: number): number {
  let low = layout.first[node]!;
  let high = layout.first[node + 1]!;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const kid = layout.kids[middle]!;
    if (layout.x[kid]! + layout.width[kid]! <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What lies at a point. */
export interface Hit {
  readonly node: number;
  /** Over 1: so many siblings from `node` on, which are drawn as one block. */
  readonly count: number;
}

/** The box at x in a row, or null. */
export function hit(layout: Layout, window: Window, x: number, row: number): Hit | null {
  const smallest = (SMALLEST * (window.right - window.left)) / window.pixels;
  let node = 0;
  if (row < 0 || x < layout.x[0]! || x >= layout.width[0]!) return null;
  for (let at = 0; at < row; at++) {
    const i = firstFrom(layout, node, x);
    const end = layout.first[node + 1]!;
    if (i >= end) return null;
    const kid = layout.kids[i]!;
    if (layout.width[kid]! < smallest) {
      const small = firstSmall(layout, node, smallest);
      return at === row - 1 ? { node: layout.kids[small]!, count: end - small } : null;
    }
    node = kid;
  }
  return { node, count: 1 };
}

/** Index into `kids` of the first child of a node that is too small to be seen. */
function firstSmall(layout: Layout, node: number, smallest: number): number {
  let low = layout.first[node]!;
  let high = layout.first[node + 1]!;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (layout.width[layout.kids[middle]!]! < smallest) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Siblings of a node in the order in which they stand, the node included; the root alone for the root. */
export function siblings(layout: Layout, tree: FlameTree, node: number): Int32Array {
  if (node === 0) return Int32Array.of(0);
  const above = tree.parent[node]!;
  return layout.kids.subarray(layout.first[above]!, layout.first[above + 1]!);
}

/** Children of a node, heaviest first. */
export function childrenOf(layout: Layout, node: number): Int32Array {
  return layout.kids.subarray(layout.first[node]!, layout.first[node + 1]!);
}
