// SPDX-License-Identifier: Apache-2.0
// Draws what a window of a flame graph shows. Boxes are collected by colour first: changing it is what costs a canvas.

import type { Colours } from "./flame_colours";
import { visit, type Layout, type Window } from "./flame_layout";
import type { Matches } from "./flame_search";
import { lastName, Ruler } from "./flame_text";
import type { FlameTree } from "./flame_tree";
import { INK, NO_CHANGE, PAPER, REST, type Tone } from "./palette";

/** Height of a row in CSS pixels, its gap included. */
export const ROW = 20;
const FONT_SIZE = 12;
const PADDING = 4;
/** Boxes narrower than this have no text. */
const TEXT_FROM = 26;
/** How much paper lies over boxes of which a part is shown. */
const FADED = 0.45;
/** What a search found; dark letters are legible on both. */
export const MATCH: Tone = { light: "#f0e442", dark: "#e8dc4a" };

export interface Scene {
  readonly tree: FlameTree;
  readonly layout: Layout;
  readonly colours: Colours;
  readonly matches: Matches | null;
  /** The root is at the bottom. */
  readonly flame: boolean;
  /** A node's name in full, and as `shortName` makes it. */
  name(node: number): string;
  short(node: number): string;
  /** Its value, as text. */
  value(node: number): string;
}

/** Where and how a scene is drawn; lengths in CSS pixels. */
export interface Frame {
  readonly window: Window;
  readonly width: number;
  readonly height: number;
  /** How far the rows are scrolled up. */
  readonly scroll: number;
  readonly dark: boolean;
  /** Nodes with an outline: what the keyboard stands on (-1 for none) and what the pointer is over. */
  readonly focus: number;
  readonly hover: number;
}

/** Top edge of a row before scrolling. */
export function rowTop(row: number, rows: number, flame: boolean): number {
  return (flame ? rows - 1 - row : row) * ROW;
}

type Box = readonly [node: number, left: number, top: number, width: number];

/** Draws scenes into one canvas. */
export class Painter {
  private ruler: Ruler;

  constructor(
    private readonly context: CanvasRenderingContext2D,
    private readonly family: string,
  ) {
    this.ruler = this.newRuler();
  }

  /** Letters are measured anew: the fonts or the resolution changed. */
  newRuler(): Ruler {
    this.context.font = `${FONT_SIZE}px ${this.family}`;
    this.ruler = new Ruler(this.context);
    return this.ruler;
  }

  paint(scene: Scene, frame: Frame): void {
    const { context } = this;
    const pick = (tone: Tone): string => (frame.dark ? tone.dark : tone.light);
    context.fillStyle = pick(PAPER);
    context.fillRect(0, 0, frame.width, frame.height);
    const { rects, labelled, outlined, wider } = collect(scene, frame);
    const tones = [...scene.colours.tones, REST, MATCH, NO_CHANGE];
    rects.forEach((flat, tone) => {
      context.fillStyle = pick(tones[tone]!);
      for (let i = 0; i < flat.length; i += 3) context.fillRect(flat[i]!, flat[i + 1]!, flat[i + 2]!, ROW - 1);
    });
    // Callers of the box that was zoomed to are wider than the window.
    context.globalAlpha = FADED;
    context.fillStyle = pick(PAPER);
    for (const [left, top, width] of wider) context.fillRect(left, top, width, ROW - 1);
    context.globalAlpha = 1;
    this.labels(scene, frame, labelled);
    context.strokeStyle = pick(INK);
    for (const [node, left, top, width] of outlined) {
      context.lineWidth = node === frame.focus ? 2 : 1;
      context.strokeRect(left + 0.5, top + 0.5, Math.max(1, width - 1), ROW - 2);
    }
  }

  private labels(scene: Scene, frame: Frame, labelled: readonly Box[]): void {
    const { context, ruler } = this;
    context.font = `${FONT_SIZE}px ${this.family}`;
    context.textBaseline = "middle";
    const ink = frame.dark ? INK.dark : INK.light;
    for (const [node, left, top, width] of labelled) {
      context.fillStyle = scene.matches?.hit[node] ? INK.light : ink;
      context.fillText(label(scene, ruler, node, width - 2 * PADDING), left + PADDING, top + ROW / 2);
    }
  }
}

/** Name and value; else the name alone, without its arguments, without its namespaces, cut, as the room allows. */
function label(scene: Scene, ruler: Ruler, node: number, room: number): string {
  const name = scene.name(node);
  const width = ruler.measure(name, room);
  if (width <= room) {
    const value = `  ${scene.value(node)}`;
    return width + ruler.measure(value) <= room ? name + value : name;
  }
  const short = scene.short(node);
  return ruler.measure(short, room) <= room ? short : ruler.fit(lastName(short), room);
}

interface Collected {
  /** By tone: left, top, width, left, ... The last three are small siblings, matches and what does not match. */
  readonly rects: number[][];
  readonly labelled: Box[];
  readonly outlined: Box[];
  /** Left, top and width of boxes that go on outside of the window. */
  readonly wider: [number, number, number][];
}

function collect(scene: Scene, frame: Frame): Collected {
  const { tree, layout, colours, matches, flame } = scene;
  const { window, focus, hover } = frame;
  const own = colours.tones.length;
  const rects: number[][] = Array.from({ length: own + 3 }, () => []);
  const labelled: Box[] = [];
  const outlined: Box[] = [];
  const wider: [number, number, number][] = [];
  const room = window.right - window.left;
  const perUnit = window.pixels / room;
  visit(layout, tree, window, (node, row, from, to, count) => {
    const left = Math.max(0, (from - window.left) * perUnit);
    const right = Math.min(frame.width, (to - window.left) * perUnit);
    const top = rowTop(row, layout.rows, flame) - frame.scroll;
    const small = count > 1;
    const width = right - left;
    const tone = small ? own : matches ? own + (matches.hit[node] ? 1 : 2) : colours.of[node]!;
    rects[tone]!.push(left, top, width > 3 ? width - 1 : width);
    if (small) return;
    if (to - from > room * 1.000001) wider.push([left, top, width]);
    if (width >= TEXT_FROM) labelled.push([node, left, top, width]);
    if (node === focus || node === hover) outlined.push([node, left, top, width]);
  });
  return { rects, labelled, outlined, wider };
}
