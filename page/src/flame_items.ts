// SPDX-License-Identifier: Apache-2.0
// The flame graph for those who do not see it: a tree of real text around the box that the keyboard stands on.
//
// A tree of 300,000 elements would stop any browser, so there are elements for the way to the box, its siblings nearby
// and its heaviest callees. The tree itself keeps the focus and names the active one.

import { el, uniqueId } from "./dom";
import { childrenOf, siblings } from "./flame_layout";
import type { FlameModel } from "./flame_model";
import { pathTo } from "./flame_tree";

/** Siblings on each side, and callees, that have an element. */
const NEARBY = 3;

export class FlameItems {
  readonly element: HTMLElement;

  constructor(private readonly model: FlameModel) {
    this.element = el("div", { class: "unseen", role: "presentation" });
  }

  /** Makes the elements around a node and returns the id of its own. */
  around(node: number): string {
    const { layout, tree } = this.model;
    const chosen = new Set([0, ...pathTo(tree, node), ...near(siblings(layout, tree, node), node)]);
    for (const kid of childrenOf(layout, node).subarray(0, NEARBY)) chosen.add(kid);
    let active = "";
    const items = [...chosen].sort((a, b) => tree.depth[a]! - tree.depth[b]! || layout.x[a]! - layout.x[b]!).map((each) => {
      const item = this.item(each, each === node);
      if (each === node) active = item.id;
      return item;
    });
    this.element.replaceChildren(...items);
    return active;
  }

  private item(node: number, active: boolean): HTMLElement {
    const { layout, tree } = this.model;
    const among = siblings(layout, tree, node);
    const callees = childrenOf(layout, node).length;
    const props = {
      role: "treeitem",
      id: uniqueId("box"),
      "aria-level": tree.depth[node]! + 1,
      "aria-posinset": among.indexOf(node) + 1,
      "aria-setsize": among.length,
      "aria-selected": String(active),
      "aria-expanded": callees ? "true" : null,
    };
    return el("div", props, said(this.model, node));
  }
}

function near(among: Int32Array, node: number): Int32Array {
  const at = among.indexOf(node);
  return among.subarray(Math.max(0, at - NEARBY), at + NEARBY + 1);
}

/** A node in one sentence. */
export function said(model: FlameModel, node: number): string {
  const { layout } = model;
  const parts = [model.name(node), model.quantity(layout.total[node]!), model.share(layout.total[node]!)];
  if (layout.self[node] && !model.options.inverted) parts.push(`self ${model.quantity(layout.self[node]!)}`);
  if (model.options.end) parts.push(`change ${model.quantity(layout.change[node]!, true)}`);
  return parts.join(", ");
}
