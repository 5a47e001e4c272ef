// SPDX-License-Identifier: Apache-2.0
// The tree that a flame graph shows: the document's tree of frames, with frames of the same place made one.
//
// The document tells two calls of one function apart by their lines; a flame graph by function must not. So nodes with
// the same parent and the same place become one node, places that were hidden give their children to their caller, and
// by file or module a caller and a callee in the same place are one box.

/** A merged tree. Node 0 is the root; a parent always stands before its children. */
export interface FlameTree {
  readonly size: number;
  readonly parent: Int32Array;
  /** Index of the node's place; -1 for the root. */
  readonly place: Int32Array;
  /** 0 for the root. */
  readonly depth: Uint16Array;
  /** Document node that each node was first made of: where its frame, and so its source line, is looked up. */
  readonly origin: Int32Array;
  /** Document node -> node of this tree. */
  readonly of: Int32Array;
}

export interface Shape {
  /** Places that are taken out: 1 for hidden, by place. */
  readonly hidden?: Uint8Array;
  /** A callee in the same place as its caller is the same box. */
  readonly collapse?: boolean;
}

/**
 * Merges. `parent` and `place` have an entry for each document node, parents first; entry 0 is the root.
 */
export function mergedTree(parent: ArrayLike<number>, place: ArrayLike<number>, shape: Shape = {}): FlameTree {
  const count = parent.length;
  const tree = {
    size: 1,
    parent: new Int32Array(count),
    place: new Int32Array(count).fill(-1),
    depth: new Uint16Array(count),
    origin: new Int32Array(count),
    of: new Int32Array(count),
  };
  const known = new Pairs(count);
  for (let node = 1; node < count; node++) {
    const above = tree.of[parent[node]!]!;
    const here = place[node]!;
    if (shape.hidden?.[here] || (shape.collapse && tree.place[above] === here)) {
      tree.of[node] = above;
      continue;
    }
    const merged = known.indexOf(above, here, tree.size);
    if (merged === tree.size) {
      tree.parent[merged] = above;
      tree.place[merged] = here;
      tree.depth[merged] = tree.depth[above]! + 1;
      tree.origin[merged] = node;
      tree.size++;
    }
    tree.of[node] = merged;
  }
  const { size } = tree;
  return {
    size,
    parent: tree.parent.slice(0, size),
    place: tree.place.slice(0, size),
    depth: tree.depth.slice(0, size),
    origin: tree.origin.slice(0, size),
    of: tree.of,
  };
}

/**
 * The tree of stacks read from where their value stands to the root: what was called first, who called it below. A
 * node of it is a way that stacks end with, and a stack's value stands at the last one.
 *
 * `at` has the document node of each stack. Instead of by document node, `of` is by the node of this tree: the second
 * result has it for each stack.
 */
export function invertedTree(
  parent: ArrayLike<number>,
  place: ArrayLike<number>,
  at: ArrayLike<number>,
  shape: Shape = {},
): { tree: FlameTree; at: Int32Array } {
  const known = new Pairs(at.length);
  const columns = { parent: [0], place: [-1], depth: [0], origin: [0] };
  const ends = new Int32Array(at.length);
  for (let stack = 0; stack < at.length; stack++) {
    let below = 0;
    for (let node = at[stack]!; node > 0; node = parent[node]!) {
      const here = place[node]!;
      if (shape.hidden?.[here] || (shape.collapse && columns.place[below] === here)) continue;
      const next = columns.parent.length;
      const merged = known.indexOf(below, here, next);
      if (merged === next) {
        columns.parent.push(below);
        columns.place.push(here);
        columns.depth.push(columns.depth[below]! + 1);
        columns.origin.push(node);
      }
      below = merged;
    }
    ends[stack] = below;
  }
  const size = columns.parent.length;
  const tree: FlameTree = {
    size,
    parent: Int32Array.from(columns.parent),
    place: Int32Array.from(columns.place),
    depth: Uint16Array.from(columns.depth),
    origin: Int32Array.from(columns.origin),
    of: Int32Array.from({ length: size }, (_, node) => node),
  };
  return { tree, at: ends };
}

/** Pairs of integers and their number: a hash table in one array, since a Map takes five times as long here. */
class Pairs {
  private count = 0;
  private mask = 0;
  /** First, second and number; -1 for a free slot. */
  private slots = new Int32Array(0);

  constructor(capacity: number) {
    let size = 16;
    while (size < capacity * 2) size *= 2;
    this.resize(size);
  }

  /** The number that the pair was given, or `next`, which it has from now on. */
  indexOf(first: number, second: number, next: number): number {
    const slot = this.slotOf(first, second);
    const { slots } = this;
    if (slots[slot + 2]! >= 0) return slots[slot + 2]!;
    slots[slot] = first;
    slots[slot + 1] = second;
    slots[slot + 2] = next;
    if (++this.count * 2 > this.mask) this.resize((this.mask + 1) * 2);
    return next;
  }

  /** Where a pair stands, or the free slot where it would. */
  private slotOf(first: number, second: number): number {
    const { slots, mask } = this;
    let at = (Math.imul(first, 0x9e3779b1) ^ Math.imul(second + 1, 0x85ebca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & mask;
    while (slots[at * 3 + 2]! >= 0 && (slots[at * 3] !== first || slots[at * 3 + 1] !== second)) at = (at + 1) & mask;
    return at * 3;
  }

  private resize(size: number): void {
    const old = this.slots;
    this.mask = size - 1;
    this.slots = new Int32Array(size * 3).fill(-1);
    for (let slot = 0; slot < old.length; slot += 3) {
      if (old[slot + 2]! >= 0) this.slots.set(old.subarray(slot, slot + 3), this.slotOf(old[slot]!, old[slot + 1]!));
    }
  }
}

/** Which nodes lie at or under a node of a place: 1 for those, by node. */
export function under(tree: FlameTree, chosen: (place: number) => boolean): Uint8Array {
  const inside = new Uint8Array(tree.size);
  for (let node = 1; node < tree.size; node++) {
    inside[node] = inside[tree.parent[node]!] || chosen(tree.place[node]!) ? 1 : 0;
  }
  return inside;
}

/** The way from the root's child to a node. */
export function pathTo(tree: FlameTree, node: number): number[] {
  const path: number[] = [];
  for (let at = node; at > 0; at = tree.parent[at]!) path.push(at);
  return path.reverse();
}
