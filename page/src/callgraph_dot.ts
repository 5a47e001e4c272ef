// SPDX-License-Identifier: Apache-2.0
// A trimmed call graph as DOT. Names come from anybody's program: they are quoted, and nothing of them is markup.
//
// Colours are not written here but as classes, so that the style sheet gives them for light, dark and paper.

import type { Trimmed } from "./callgraph_trim";

/** How places and numbers are written. */
export interface Texts {
  /** A place's name and where it is, "" when that is not known. */
  name(place: number): string;
  where(place: number): string;
  value(value: number): string;
  share(value: number): string;
}

const SMALLEST_FONT = 10;
const FONT_RANGE = 13;
const NAME_WIDTH = 44;
const NAME_LINES = 4;
/** Steps of colour on each side of none. */
export const STEPS = 4;

/** The graph as DOT; nodes are N0, N1 ... in order, edges have ids E0, E1 ... `whole`: what shares are shares of. */
export function dot(graph: Trimmed, whole: number, texts: Texts): string {
  const { draft, nodes, edges } = graph;
  const number = new Map(nodes.map((place, i) => [place, i]));
  const largest = Math.max(0, ...nodes.map((place) => Math.abs(draft.flat[place]!)));
  const lines = [
    "digraph calls {",
    'graph [bgcolor="transparent" nodesep=0.2 ranksep=0.4]',
    'node [shape=box fontname="Helvetica" margin="0.12,0.06"]',
    'edge [fontname="Helvetica" fontsize=10 arrowsize=0.7]',
  ];
  nodes.forEach((place, i) => {
    const size = SMALLEST_FONT + (largest ? FONT_RANGE * Math.sqrt(Math.abs(draft.flat[place]!) / largest) : 0);
    const label = [...wrapped(texts.name(place)), texts.where(place), ...values(graph, place, texts)].filter(Boolean);
    const heat = heatOf(draft.cum[place]!, whole);
    lines.push(`N${i} [id="n${i}" class="${heat}" fontsize=${size.toFixed(1)} label="${label.map(escaped).join("\\n")}"]`);
  });
  edges.forEach((edge, i) => {
    const weight = draft.weight[edge]!;
    const share = whole ? Math.min(1, Math.abs(weight) / whole) : 0;
    const label = `   ${texts.value(weight)}${draft.inline[edge] ? "\\n(inline)" : ""}`;
    const dashed = draft.residual[edge] ? ' style="dashed"' : "";
    const [from, to] = [number.get(draft.source[edge]!), number.get(draft.target[edge]!)];
    const look = `class="${heatOf(weight, whole)}" penwidth=${(1 + 4 * share).toFixed(2)} weight=${1 + Math.floor(100 * share)}`;
    lines.push(`N${from} -> N${to} [id="e${i}" ${look} label="${label}"${dashed}]`);
  });
  return [...lines, "}"].join("\n");
}

function values({ draft }: Trimmed, place: number, texts: Texts): string[] {
  const [flat, cum] = [draft.flat[place]!, draft.cum[place]!];
  const own = flat ? `${texts.value(flat)} (${texts.share(flat)})` : "0";
  return cum === flat ? [own] : [own, `of ${texts.value(cum)} (${texts.share(cum)})`];
}

/** `heat-0` for nothing, `heat-1` to `heat-4` for growth, `heat--1` to `heat--4` for shrinkage. */
function heatOf(value: number, whole: number): string {
  const share = whole ? Math.max(-1, Math.min(1, value / whole)) : 0;
  // The root makes small shares visible: a tenth is half as strong as all.
  const step = Math.sign(share) * Math.ceil(STEPS * Math.abs(share) ** 0.3 - 0.5);
  return `heat-${step || 0}`;
}

/** A long name in several lines, broken behind `::`, commas and blanks where it can be; what is longer is cut. */
export function wrapped(name: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of name.split(/(?<=::|, | )/)) {
    for (let rest = part; rest; rest = rest.slice(NAME_WIDTH)) {
      const piece = rest.slice(0, NAME_WIDTH);
      if (line && line.length + piece.length > NAME_WIDTH) {
        lines.push(line);
        line = "";
      }
      line += piece;
    }
    if (lines.length >= NAME_LINES) return [...lines.slice(0, NAME_LINES - 1), `${lines[NAME_LINES - 1]!.trimEnd()}…`];
  }
  return [...lines, line].filter(Boolean);
}

/** For a quoted string of DOT, in which entities and backslashes mean something. */
export function escaped(text: string): string {
  const legible = text.replace(/[\0-\x1f\x7f]/g, " ").replace(/[\ufffe\uffff\p{Cs}]/gu, "\ufffd"); // no XML holds these
  return legible.replace(/&/g, "&amp;").replace(/\\/g, "\\\\").replace(/"/g, '\\"');
}
