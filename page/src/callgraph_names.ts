// SPDX-License-Identifier: Apache-2.0
// What ties between places are broken by, letter for letter as `sort_name` of analysis/graph.py has it: many places
// score alike, and the cut to so many nodes often falls among them.

import type { PageDocument } from "./document";
import { fileOf, functionOf, moduleOf } from "./names";
import { NO_FRAME, type By } from "./sums";

/** Of the place that a granularity makes of a frame. */
export function sortName(document: PageDocument, frame: number, by: By): string {
  const [name, file, module] = [functionOf(document, frame), fileOf(document, frame), moduleOf(document, frame)];
  if (by === "module") return written(null, null, 0, module, 0);
  if (by === "file") return file === null ? written(null, null, 0, module, 0) : written(null, file, 0, null, 0);
  const [line, address] = frame >= NO_FRAME ? [0, 0] : [document.frames.line[frame]!, document.frames.address[frame]!];
  if (by === "address") return written(name, file, line, module, address);
  if (name === null) return written(null, null, 0, module, address);
  return written(name, file, by === "line" ? line : 0, file === null ? module : null, 0);
}

function written(name: string | null, file: string | null, line: number, module: string | null, address: number): string {
  const where = `${file ?? ""}:${String(line).padStart(9, "0")} ${module ?? ""}`;
  return `${name ?? ""} ${where} ${Math.max(0, address).toString(16).padStart(16, "0")}`;
}
