// SPDX-License-Identifier: Apache-2.0
// Search: which boxes match, what they hold together, and which comes next.

import type { Layout } from "./flame_layout";
import type { FlameTree } from "./flame_tree";

export interface Matches {
  /** 1 for a node whose name matches. */
  readonly hit: Uint8Array;
  /** The matching nodes in the order in which they stand: callers before callees, heaviest first. */
  readonly nodes: number[];
  /** Sum over the stacks that have a match, each counted once. */
  readonly total: number;
  /** The same, without signs. */
  readonly width: number;
}

/** Nodes whose place is chosen, among those that are drawn. */
export function find(tree: FlameTree, layout: Layout, chosen: Uint8Array): Matches {
  const hit = new Uint8Array(tree.size);
  const nodes: number[] = [];
  let total = 0;
  let width = 0;
  const waiting = [0];
  const within: boolean[] = [false]; // whether a caller of the node matches already
  while (waiting.length) {
    const node = waiting.pop()!;
    const counted = within.pop()!;
    const matches = node > 0 && chosen[tree.place[node]!] === 1;
    if (matches) {
      hit[node] = 1;
      nodes.push(node);
      if (!counted) {
        total += layout.total[node]!;
        width += layout.width[node]!;
      }
    }
    for (let i = layout.first[node + 1]! - 1; i >= layout.first[node]!; i--) {
      waiting.push(layout.kids[i]!);
      within.push(counted || matches);
    }
  }
  return { hit, nodes, total, width };
}

/** The match after (or before) a node, around the end; null without matches. */
export function next(matches: Matches, from: number, step: 1 | -1): number | null {
  const { nodes } = matches;
  if (!nodes.length) return null;
  const at = nodes.indexOf(from);
  if (at < 0) return step > 0 ? nodes[0]! : nodes[nodes.length - 1]!;
  return nodes[(at + step + nodes.length) % nodes.length]!;
}
