// SPDX-License-Identifier: Apache-2.0
// The page's only arithmetic: differences of moments and sums over stacks. Everything else was computed in Python.
//
// A range (a, b] is a pair of indices into the document's moments; a = -1 stands for "before the first", so that
// (-1, b] is what stands at b. Browser tests hold these numbers against `heaptide top --json`.

import { FOLDED, VarintReader, type Frames, type DatasetInfo, type PageDocument } from "./document";

export type Value = "inuse_space" | "inuse_objects" | "alloc_space" | "alloc_objects";
export type By = "function" | "line" | "file" | "module" | "address";

/** Moments a and b, as indices; a = -1: since the beginning. */
export interface Range {
  readonly a: number;
  readonly b: number;
}

/** Every how many moments the running totals are kept: a range then costs at most twice as many moments of reading. */
const CHECKPOINT = 8;

/** A counter of every stack at every moment, kept as it came (changes, packed) with running totals here and there. */
class Counter {
  private readonly totals: Float64Array[] = [];
  private readonly starts: number[] = [];

  constructor(
    private readonly bytes: Uint8Array,
    private readonly stacks: number,
    moments: number,
  ) {
    const running = new Float64Array(stacks);
    const reader = new VarintReader(bytes);
    for (let moment = 0; moment < moments; moment++) {
      this.starts.push(reader.position);
      reader.addTo(running, 0, stacks);
      if (moment % CHECKPOINT === CHECKPOINT - 1) this.totals.push(running.slice());
    }
  }

  /** Adds sign times the counters at a moment to `out`; nothing for moment -1. */
  addAt(moment: number, out: Float64Array, sign: 1 | -1): void {
    const kept = Math.floor((moment + 1) / CHECKPOINT);
    const total = kept > 0 ? this.totals[kept - 1] : undefined;
    if (total) for (let i = 0; i < out.length; i++) out[i] = out[i]! + sign * total[i]!;
    for (let next = kept * CHECKPOINT; next <= moment; next++) {
      new VarintReader(this.bytes, this.starts[next]).addTo(out, 0, this.stacks, sign);
    }
  }
}

/** What stands at each node itself, and at it or below it. */
export interface NodeSums {
  self: Float64Array;
  total: Float64Array;
}

/** One kind of memory (blocks, or mappings): its call paths as a prefix tree, and their values at every moment. */
export class Dataset {
  readonly info: DatasetInfo;
  /** Node 0 is the root; nodes are in depth-first order, so a parent's number is below its children's. */
  readonly parent: Int32Array;
  readonly frame: Uint32Array;
  /** Node of each stack's innermost frame, and where its value stands when runtime frames are hidden. */
  readonly leaf: Uint32Array;
  readonly site: Uint32Array;
  private readonly counters = new Map<string, Counter>();
  private readonly recent = new Map<string, Float64Array>();

  constructor(
    private readonly document: PageDocument,
    readonly index: number,
  ) {
    this.info = document.header.datasets[index]!;
    const kind = this.info.kind;
    this.frame = document.u32(`${kind}.node.frame`);
    this.leaf = document.u32(`${kind}.stack.leaf`);
    this.site = document.u32(`${kind}.stack.site`);
    this.parent = Int32Array.from(document.varints(`${kind}.node.parent`), (up, node) => node - up);
  }

  get stacks(): number {
    return this.leaf.length;
  }

  /** The value of each stack over a range. The array is shared: do not write to it. */
  values(value: Value, { a, b }: Range): Float64Array {
    const key = `${value} ${a} ${b}`;
    const known = this.recent.get(key);
    if (known) return known;
    const out = new Float64Array(this.stacks);
    const counter = this.counter(value);
    counter.addAt(b, out, 1);
    if (a >= 0) counter.addAt(a, out, -1);
    const scale = value.endsWith("_objects") ? this.info.scale : 1;
    if (scale !== 1) for (let i = 0; i < out.length; i++) out[i] = out[i]! / scale;
    if (this.recent.size >= 12) this.recent.delete(this.recent.keys().next().value!);
    this.recent.set(key, out);
    return out;
  }

  /** Sums by node. `at`: where each stack's value stands, `leaf` or `site`. */
  byNode(values: Float64Array, at: Uint32Array): NodeSums {
    const self = new Float64Array(this.parent.length);
    for (let i = 0; i < values.length; i++) self[at[i]!] = self[at[i]!]! + values[i]!;
    const total = self.slice();
    for (let node = total.length - 1; node > 0; node--) {
      const parent = this.parent[node]!;
      total[parent] = total[parent]! + total[node]!;
    }
    return { self, total };
  }

  private counter(name: string): Counter {
    let found = this.counters.get(name);
    if (!found) {
      const moments = this.document.header.moments.number.length;
      found = new Counter(this.document.bytes(`${this.info.kind}.${name}`), this.stacks, moments);
      this.counters.set(name, found);
    }
    return found;
  }
}

/** The sum of all values. */
export function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** The values without their signs. */
export function magnitudes(values: Float64Array): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = Math.abs(values[i]!);
  return out;
}

/** Half-widths of a 95 % interval in standard deviations; as model/profile.py has it. */
const Z95 = 1.96;

/** Half-width of the 95 % interval of a range's total, in bytes. 0 in exact mode, null for objects.
 *
 * In use, between two moments: samples that live at both cancel, so what can differ is bounded by
 * min(V(b), allocated since) + min(V(a), freed since), as in model/algebra.py; here over all stacks together, there
 * stack by stack, so this one is never the narrower. What stands at one moment, and what was allocated in a range,
 * have the error that `heaptide top` prints. */
export function totalError(document: PageDocument, value: Value, { a, b }: Range): number | null {
  const errors = document.header.errors;
  if (document.header.mode === "exact") return 0;
  if (!errors || !value.endsWith("_space")) return null;
  const at = (column: number[], moment: number) => (moment < 0 ? 0 : (column[moment] ?? 0));
  const allocated = Math.abs(at(errors.alloc_variance, b) - at(errors.alloc_variance, a));
  if (value === "alloc_space") return Z95 * Math.sqrt(allocated);
  const freed = Math.abs(at(errors.free_variance, b) - at(errors.free_variance, a));
  const live = (moment: number) => Math.max(0, at(errors.alloc_variance, moment) - at(errors.free_variance, moment));
  const [early, late] = a <= b ? [a, b] : [b, a];
  return Z95 * Math.sqrt(Math.min(live(late), allocated) + Math.min(live(early), freed));
}

/** Frames told apart as a granularity does: which row each node belongs to. The rules are those of
 * analysis/places.py. */
export class Grouping {
  /** Row of each node. */
  readonly row: Int32Array;
  /** The first frame of each row; `FOLDED` for folded call paths, `NO_FRAME` for stacks without frames. */
  readonly sample: number[] = [];
  /** 1 for a node none of whose callers belongs to the same row: a place that recurs in a stack counts once. */
  readonly outermost: Uint8Array;

  constructor(frames: Frames, dataset: Dataset, by: By) {
    this.row = new Int32Array(dataset.parent.length);
    this.row[0] = this.sample.push(NO_FRAME) - 1;
    const places = new Places(frames, by);
    const ofFrame = new Int32Array(frames.function.length).fill(-1);
    const ofPlace = new Map<number, number>();
    for (let node = 1; node < this.row.length; node++) {
      const frame = dataset.frame[node]!;
      let row = frame === FOLDED ? ofPlace.get(FOLDED) : ofFrame[frame]!;
      if (row === undefined || row < 0) {
        const place = frame === FOLDED ? FOLDED : places.of(frame);
        row = ofPlace.get(place);
        if (row === undefined) ofPlace.set(place, (row = this.sample.push(frame) - 1));
        if (frame !== FOLDED) ofFrame[frame] = row;
      }
      this.row[node] = row;
    }
    this.outermost = outermost(dataset.parent, this.row, this.sample.length);
  }
}

/** Stands for the frame that a stack without frames lacks. */
export const NO_FRAME = 0xfffffffe;

/** Which kind of place a frame is: the first of the numbers that tell places apart. */
const enum Shape {
  Named,
  NamedLine,
  Unnamed,
  File,
  NoFile,
  Module,
  NoModule,
  Address,
  Shapes,
}

/** Gives frames that are the same place the same number. Numbers, not texts: there are a hundred thousand frames. */
class Places {
  private readonly pairs = new Map<number, number>();
  private readonly addresses = new Map<number, number>();

  constructor(
    private readonly frames: Frames,
    private readonly by: By,
  ) {}

  of(frame: number): number {
    const { frames, by } = this;
    const [name, file, line] = [frames.function[frame]!, frames.file[frame]!, frames.line[frame]!];
    const [module, why] = [frames.module[frame]!, frames.reason[frame]!];
    if (by === "module") return module ? this.number(Shape.Module, module) : this.number(Shape.NoModule, why);
    if (by === "file") return file ? this.number(Shape.File, file) : this.number(Shape.NoFile, module, why);
    if (by === "address") return this.number(Shape.Address, name, file, line, module, this.address(frame), name ? 0 : why);
    if (!name) return this.number(Shape.Unnamed, module, this.address(frame), why);
    const beside = file ? 0 : module;
    return by === "function" ? this.number(Shape.Named, name, file, beside) : this.number(Shape.NamedLine, name, file, line, beside);
  }

  /** A number for a sequence: its first entries' number and the next entry make a pair, and each pair has a number. */
  private number(shape: Shape, ...entries: number[]): number {
    let found: number = shape;
    for (const entry of entries) {
      const pair = found * 2 ** 32 + entry;
      let number = this.pairs.get(pair);
      if (number === undefined) this.pairs.set(pair, (number = Shape.Shapes + this.pairs.size));
      found = number;
    }
    return found;
  }

  private address(frame: number): number {
    const address = this.frames.address[frame]!;
    let number = this.addresses.get(address);
    if (number === undefined) this.addresses.set(address, (number = this.addresses.size));
    return number;
  }
}

/** Walks the tree in its depth-first order and counts for each row how often it is on the path. */
function outermost(parent: Int32Array, row: Int32Array, rows: number): Uint8Array {
  const flags = new Uint8Array(parent.length);
  const onPath = new Int32Array(rows);
  const path: number[] = [];
  for (let node = 0; node < parent.length; node++) {
    while (path.length && path[path.length - 1] !== parent[node]) {
      const left = row[path.pop()!]!;
      onPath[left] = onPath[left]! - 1;
    }
    const own = row[node]!;
    flags[node] = onPath[own] === 0 ? 1 : 0;
    onPath[own] = onPath[own]! + 1;
    path.push(node);
  }
  return flags;
}

/** A table: for each row of a grouping what stands there itself and there or below, once per stack. */
export interface TableSums {
  flat: Float64Array;
  cum: Float64Array;
  /** Rows that any stack with a value passes through. */
  rows: Int32Array;
}

/** Sums by row. `at` as in `Dataset.byNode`. */
export function tableSums(dataset: Dataset, grouping: Grouping, values: Float64Array, at: Uint32Array): TableSums {
  const { self, total } = dataset.byNode(values, at);
  const touched = dataset.byNode(magnitudes(values), at).total;
  const size = grouping.sample.length;
  const [flat, cum, seen] = [new Float64Array(size), new Float64Array(size), new Uint8Array(size)];
  for (let node = 0; node < self.length; node++) {
    // Node 0 is a place only for the stacks that have no frame, and then nothing is below it.
    const row = grouping.row[node]!;
    flat[row] = flat[row]! + self[node]!;
    if (grouping.outermost[node]) cum[row] = cum[row]! + (node ? total[node]! : self[0]!);
    if (node ? touched[node] : self[0]) seen[row] = 1;
  }
  const rows = Int32Array.from(seen.keys()).filter((row) => seen[row] === 1);
  return { flat, cum, rows };
}

/** Blocks of one size class: at least `from` bytes, less than twice that. */
export interface SizeClass {
  from: number;
  bytes: number;
  blocks: number;
  stacks: number;
}

/** Call paths by their mean size of block, in powers of two, without gaps; those that hold nothing left out. */
export function histogram(space: Float64Array, objects: Float64Array): SizeClass[] {
  const classes = new Map<number, SizeClass>();
  for (let i = 0; i < space.length; i++) {
    if (space[i]! <= 0 || objects[i]! <= 0) continue;
    const power = Math.max(0, Math.floor(Math.log2(space[i]! / objects[i]!)));
    const found = classes.get(power) ?? { from: 2 ** power, bytes: 0, blocks: 0, stacks: 0 };
    found.bytes += space[i]!;
    found.blocks += objects[i]!;
    found.stacks++;
    classes.set(power, found);
  }
  if (!classes.size) return [];
  const powers = [...classes.keys()];
  const low = Math.min(...powers);
  const empty = (power: number) => ({ from: 2 ** power, bytes: 0, blocks: 0, stacks: 0 });
  return Array.from({ length: Math.max(...powers) - low + 1 }, (_, i) => classes.get(low + i) ?? empty(low + i));
}
