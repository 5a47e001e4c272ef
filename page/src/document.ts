// SPDX-License-Identifier: Apache-2.0
// The document: what Python computed, as the page reads it. The layout is law: docs/design/0012-the-page.md.

/** The moments that the page knows, as columns; times in seconds since recording began, values in bytes. */
export interface Moments {
  number: number[];
  kind: string[];
  t_s: number[];
  wall: string[];
  in_use: number[];
  /** Half-widths of the 95 % intervals of `in_use`; zeros in exact mode. */
  in_use_error: number[];
  allocated: number[];
  total_snapshots: number;
  /** Indices into the columns. */
  end: number;
  peak: number;
}

/** Sampled mode: variances in bytes², cumulative over the moments, of all stacks together. */
export interface Variances {
  alloc_variance: number[];
  free_variance: number[];
}

export interface LedgerPart {
  name: string;
  label: string;
  help: string;
  bytes: number[];
}

export interface Ledger {
  t_s: number[];
  number: number[];
  rss: number[];
  parts: LedgerPart[];
  outside: { name: string; label: string; bytes: number[] }[];
}

export interface Site {
  function: string | null;
  file: string | null;
  line: number | null;
  module: string | null;
}

export interface Suspect {
  rank: number;
  kind: Kind;
  verdict: string;
  acts: boolean;
  confidence: number;
  confidence_text: string;
  rate_text: string;
  interval_text: string;
  share_text: string;
  growth_text: string;
  limit_text: string;
  why: string;
  steps: string[];
  /** When the steps were, in seconds since recording began. */
  step_s: number[];
  spark: number[];
  site: Site;
  place_text: string;
  stack: string[];
  source: { index: number; line: number } | null;
  ages: number[];
  /** The rule that says that it is known, where there is one. */
  suppressed: string | null;
  parts: Suspect[];
  places: number[];
  rate: number;
  low: number;
  high: number;
}

export interface Survivors {
  at_s: number;
  wall: string;
  births: { from_s: number; to_s: number; label: string; bytes: number; error: number }[];
  sites: { label: string; bytes: number[] }[];
}

export interface Excerpt {
  file: string;
  first_line: number;
  lines: string[];
}

export type Kind = "heap" | "mmap";

export interface DatasetInfo {
  kind: Kind;
  label: string;
  stacks: number;
  /** How many call paths were folded into their callers. */
  folded: number;
  nodes: number;
  /** What object counts were multiplied by to be integers. */
  scale: number;
  /** Which values it has: a foreign file may lack some. */
  values: string[];
}

interface SectionInfo {
  type: "u8" | "u32" | "f64" | "varint";
  offset: number;
  length: number;
  bytes: number;
}

export interface Header {
  schema: 1;
  tool: string;
  view: "report" | "flame";
  /** The fragment of the address that it opens with, where its own has none. */
  start: string;
  title: string;
  capture: string;
  command: string;
  pid: number | null;
  mode: "exact" | "sampled";
  live: boolean;
  damaged: boolean;
  started_ms: number | null;
  duration_s: number;
  warnings: string[];
  costs: { label: string; text: string }[];
  headline: { verdict: string; text: string; detail: string };
  growth_text: string;
  moments: Moments;
  errors: Variances | null;
  ledger: Ledger | null;
  top_sites: { label: string; bytes: number[] }[];
  suspects: Suspect[];
  strings: string[];
  modules: string[];
  datasets: DatasetInfo[];
  survivors: Survivors | null;
  sources: Excerpt[];
  sections: Record<string, SectionInfo>;
}

/** Columns of the frames. Text columns are indices into `strings` (or `modules`) plus 1; 0 is none. */
export interface Frames {
  function: Uint32Array;
  file: Uint32Array;
  module: Uint32Array;
  reason: Uint32Array;
  line: Uint32Array;
  flags: Uint8Array;
  /** -1 where there is none. */
  address: Float64Array;
}

export const enum Role {
  User,
  Allocator,
  Runtime,
  Container,
  Agent,
}

/** The frame of a node that stands for call paths too small to be told apart. */
export const FOLDED = 0xffffffff;

const MAGIC = 0x47505448; // "HTPG", little-endian

/** A document with its sections; those are views on one buffer and are made when they are first asked for. */
export class PageDocument {
  readonly header: Header;
  readonly frames: Frames;
  private readonly buffer: ArrayBuffer;
  private readonly start: number;

  constructor(buffer: ArrayBuffer) {
    const view = new DataView(buffer);
    if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) throw new Error("this is not a heaptide document");
    const length = view.getUint32(4, true);
    this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length))) as Header;
    if (this.header.schema !== 1) throw new Error(`the document has schema ${this.header.schema}, this page knows 1`);
    this.buffer = buffer;
    this.start = (8 + length + 7) & ~7;
    this.frames = {
      function: this.u32("frame.function"),
      file: this.u32("frame.file"),
      module: this.u32("frame.module"),
      reason: this.u32("frame.reason"),
      line: this.u32("frame.line"),
      flags: this.bytes("frame.flags"),
      address: this.f64("frame.address"),
    };
  }

  bytes(name: string): Uint8Array {
    const section = this.section(name);
    return new Uint8Array(this.buffer, this.start + section.offset, section.bytes);
  }

  u32(name: string): Uint32Array {
    const { offset, length } = this.aligned(name, 4);
    return new Uint32Array(this.buffer, offset, length);
  }

  f64(name: string): Float64Array {
    const { offset, length } = this.aligned(name, 8);
    return new Float64Array(this.buffer, offset, length);
  }

  /** The numbers of a varint section, at once: for sections of a moderate length. */
  varints(name: string): Float64Array {
    const out = new Float64Array(this.section(name).length);
    new VarintReader(this.bytes(name)).addTo(out, 0, out.length);
    return out;
  }

  section(name: string): SectionInfo {
    const found = this.header.sections[name];
    if (!found) throw new Error(`the document has no section ${name}`);
    return found;
  }

  private aligned(name: string, to: number): { offset: number; length: number } {
    const section = this.section(name);
    const offset = this.start + section.offset;
    if (offset % to) throw new Error(`section ${name} stands at ${offset}, not a multiple of ${to}`);
    return { offset, length: section.length };
  }
}

/** Reads zigzag LEB128 numbers, one after the other. */
export class VarintReader {
  constructor(
    private readonly bytes: Uint8Array,
    public position = 0,
  ) {}

  /** Adds the next `count` numbers to `out[from...]`. One loop, since millions of them are read at a time. */
  addTo(out: Float64Array, from: number, count: number, sign: 1 | -1 = 1): void {
    const bytes = this.bytes;
    let at = this.position;
    for (let i = from, end = from + count; i < end; i++) {
      let byte = bytes[at++]!;
      if (byte === 0) continue;
      const negative = byte & 1;
      let value = byte & 0x7f;
      // Doubles hold integers up to 2^53 (so numbers up to 2^52 are exact here); shifts would stop at 2^31.
      for (let unit = 128; byte >= 0x80; unit *= 128) {
        byte = bytes[at++]!;
        value += (byte & 0x7f) * unit;
      }
      const number = negative ? -(value + 1) / 2 : value / 2;
      out[i] = out[i]! + sign * number;
    }
    this.position = at;
  }
}

/** Unpacks and reads a document. Raises an error whose text can be shown. */
export async function readDocument(packed: Uint8Array | ReadableStream<Uint8Array>): Promise<PageDocument> {
  const stream = packed instanceof Uint8Array ? new Blob([packed as BlobPart]).stream() : packed;
  const unpacked = (stream as ReadableStream<BufferSource>).pipeThrough(new DecompressionStream("gzip"));
  return new PageDocument(await new Response(unpacked as unknown as BodyInit).arrayBuffer());
}

/** The document that stands in the page itself; null when there is none. */
export async function embeddedDocument(): Promise<PageDocument | null> {
  const element = document.getElementById("heaptide-document");
  return element ? readDocument(fromBase64(element.textContent ?? "")) : null;
}

function fromBase64(text: string): Uint8Array {
  const native = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
