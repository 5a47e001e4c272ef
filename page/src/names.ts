// SPDX-License-Identifier: Apache-2.0
// Frames as text, by the rules of render/names.py. Python took the control characters out of them already.

import { FOLDED, type PageDocument } from "./document";
import { NO_FRAME, type By } from "./sums";

/** A name, where it is in the source (or why that is not known), and the module. */
export interface FrameText {
  name: string;
  where: string;
  module: string;
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1) || path;
}

function text(document: PageDocument, index: number): string | null {
  return index ? (document.header.strings[index - 1] ?? null) : null;
}

/** Function name of a frame, or null. */
export function functionOf(document: PageDocument, frame: number): string | null {
  return frame >= NO_FRAME ? null : text(document, document.frames.function[frame]!);
}

export function fileOf(document: PageDocument, frame: number): string | null {
  return frame >= NO_FRAME ? null : text(document, document.frames.file[frame]!);
}

export function moduleOf(document: PageDocument, frame: number): string | null {
  const index = frame >= NO_FRAME ? 0 : document.frames.module[frame]!;
  return index ? (document.header.modules[index - 1] ?? null) : null;
}

/** Code without a name: `libjq.so.1.0.4+0x1234`, `0x7f47a4bab11d`. */
function codeName(module: string | null, address: number): string {
  if (module === null) return address < 0 ? "?" : `0x${address.toString(16)}`;
  return address < 0 ? `[${baseName(module)}]` : `${baseName(module)}+0x${address.toString(16)}`;
}

/** A frame by the rules of `frame_name`: the source line, else the module and the reason why it is not known. */
export function frameText(document: PageDocument, frame: number): FrameText {
  if (frame === FOLDED) return { name: "(small call paths, folded)", where: "", module: "" };
  if (frame === NO_FRAME) return { name: "(no stack was recorded)", where: "", module: "" };
  const { frames } = document;
  const [name, file, module] = [functionOf(document, frame), fileOf(document, frame), moduleOf(document, frame)];
  const why = text(document, frames.reason[frame]!);
  const inline = frames.flags[frame]! & 1 ? " (inline)" : "";
  const line = frames.line[frame];
  const source = file === null ? "" : line ? `${file}:${line}` : file;
  const reason = why ? `(${why})` : "";
  const base = module === null ? "" : baseName(module);
  if (name === null) return { name: codeName(module, frames.address[frame]!), where: source || reason, module: base };
  return { name: name + inline, where: source || [base, reason].filter(Boolean).join(" "), module: base };
}

/** A row of a table: what its granularity tells apart, by the rules of `row_name`. */
export function placeText(document: PageDocument, frame: number, by: By): string {
  if (frame >= NO_FRAME) return frameText(document, frame).name;
  const { frames } = document;
  const [name, file, module] = [functionOf(document, frame), fileOf(document, frame), moduleOf(document, frame)];
  const line = frames.line[frame]! || null;
  const why = text(document, frames.reason[frame]!);
  if (by === "module") return module ?? `(${why ?? "unknown"})`;
  if (by === "file" && file !== null) return file;
  if (by === "file") return module === null ? `(${why ?? "unknown"})` : codeName(module, -1);
  if (name === null) return codeName(module, frames.address[frame]!);
  if (by === "function") return name;
  const source = file === null ? "" : line === null ? file : `${file}:${line}`;
  const address = frames.address[frame]!;
  const head = by === "address" && address >= 0 ? [address.toString(16).padStart(16, "0")] : [];
  return [...head, name, source].filter(Boolean).join(" ");
}
