// SPDX-License-Identifier: Apache-2.0
// What the colours of boxes mean: whose code it is, what kind of code, or what it did over the range.

import { Role } from "./document";
import type { Weights } from "./flame_layout";
import type { FlameTree } from "./flame_tree";
import { GROWTH, MODULES, NO_CHANGE, REST, RUNTIME, SHRINKAGE, WHOLE, type Tone } from "./palette";

export type Colouring = "module" | "role" | "change";

export interface Key {
  readonly label: string;
  readonly tone: Tone;
}

/** A tone for each node, as an index into `tones`, and what the legend says. */
export interface Colours {
  readonly of: Uint8Array;
  readonly tones: readonly Tone[];
  readonly legend: readonly Key[];
}

/** What is known of a node's code; module -1 and role -1 for the root and for folded call paths. */
export interface Code {
  module(node: number): number;
  role(node: number): number;
  moduleName(module: number): string;
}

/** Steps on each side of "no change". */
const STEPS = 4;
const ROLES: readonly (readonly [Role, string])[] = [
  [Role.User, "your code"],
  [Role.Container, "containers"],
  [Role.Runtime, "C and C++ runtime"],
  [Role.Allocator, "allocator"],
  [Role.Agent, "heaptide"],
];

/** Colours for a tree's nodes. */
export function coloursOf(by: Colouring, tree: FlameTree, weights: Weights, code: Code): Colours {
  if (by === "change") return byChange(tree, weights);
  return by === "role" ? byRole(tree, code) : byModule(tree, weights, code);
}

function byModule(tree: FlameTree, weights: Weights, code: Code): Colours {
  const held = new Map<number, number>();
  let others = false;
  for (let node = 1; node < tree.size; node++) {
    if (code.role(node) !== Role.User) others = true;
    else if (weights.width[node]) held.set(code.module(node), (held.get(code.module(node)) ?? 0) + weights.width[node]!);
  }
  const ranked = [...held].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([module]) => module);
  const named = ranked.slice(0, MODULES.length);
  const slot = new Map(named.map((module, i) => [module, i + 3]));
  const of = new Uint8Array(tree.size);
  for (let node = 1; node < tree.size; node++) {
    of[node] = code.role(node) === Role.User ? (slot.get(code.module(node)) ?? 1) : 2;
  }
  const legend: Key[] = named.map((module, i) => ({ label: code.moduleName(module), tone: MODULES[i]! }));
  if (ranked.length > named.length) legend.push({ label: `${ranked.length - named.length} more modules`, tone: REST });
  if (others) legend.push({ label: "allocator, runtime, containers", tone: RUNTIME });
  return { of, tones: [WHOLE, REST, RUNTIME, ...MODULES], legend };
}

function byRole(tree: FlameTree, code: Code): Colours {
  const slot = new Map<number, number>(ROLES.map(([role], i) => [role, i + 2]));
  const of = new Uint8Array(tree.size);
  const seen = new Set<number>();
  for (let node = 1; node < tree.size; node++) {
    const role = code.role(node);
    seen.add(role);
    of[node] = slot.get(role) ?? 1;
  }
  const legend = ROLES.flatMap(([role, label], i) => (seen.has(role) ? [{ label, tone: MODULES[i]! }] : []));
  return { of, tones: [WHOLE, REST, ...MODULES.slice(0, ROLES.length)], legend };
}

function byChange(tree: FlameTree, weights: Weights): Colours {
  const of = new Uint8Array(tree.size);
  for (let node = 0; node < tree.size; node++) {
    const width = weights.width[node]!;
    const share = width ? Math.max(-1, Math.min(1, weights.change[node]! / width)) : 0;
    // Any growth at all is told from none, so the first step is left at once.
    of[node] = STEPS + Math.sign(share) * Math.ceil(Math.abs(share) * STEPS - 1e-9);
  }
  const tones = Array.from({ length: 2 * STEPS + 1 }, (_, i) => step(i - STEPS));
  const legend = [
    { label: "shrank", tone: SHRINKAGE },
    { label: "as much freed as allocated", tone: NO_CHANGE },
    { label: "grew", tone: GROWTH },
  ];
  return { of, tones, legend };
}

function step(by: number): Tone {
  const end = by < 0 ? SHRINKAGE : GROWTH;
  const part = Math.abs(by) / STEPS;
  return { light: between(NO_CHANGE.light, end.light, part), dark: between(NO_CHANGE.dark, end.dark, part) };
}

function between(start: string, end: string, part: number): string {
  const mixed = [1, 3, 5].map((at) => {
    const from = parseInt(start.slice(at, at + 2), 16);
    const to = parseInt(end.slice(at, at + 2), 16);
    return Math.round(from + (to - from) * part).toString(16).padStart(2, "0");
  });
  return `#${mixed.join("")}`;
}
