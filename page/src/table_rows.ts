// SPDX-License-Identifier: Apache-2.0
// The table's rows: sums by place, named, filtered and sorted. No drawing here.

import type { App } from "./app";
import { baseName, fileOf, frameText, functionOf, placeText } from "./names";
import { NO_FRAME, tableSums, type Grouping, type NodeSums, type TableSums } from "./sums";
import { magnitudes, sum } from "./sums";
import { matcher } from "./flame_text";

export type SortKey = "flat" | "cum" | "before" | "now" | "times" | "name" | "source";

export interface Row {
  /** Of the grouping. */
  id: number;
  name: string;
  flat: number;
  cum: number;
  /** In a difference: what was there before, by the column that the table is sorted by. */
  before: number;
  now: number;
}

export interface Rows {
  rows: Row[];
  /** How many there are without the filter. */
  all: number;
  /** Sum of the absolute values of all stacks: what shares are shares of. */
  whole: number;
  /** Flat sum of the rows that are shown. */
  flat: number;
  /** The filter's text is no valid pattern. */
  unreadable: boolean;
}

/** Remembers what does not depend on the filter, so that typing is answered at once. */
export class TableModel {
  private key = "";
  private all: Row[] = [];
  private whole = 0;
  private grouping!: Grouping;
  private places = new Map<number, number[]>();
  private weights: NodeSums | null = null;

  constructor(private readonly app: App) {}

  /** Forgets the document. */
  reset(): void {
    this.key = "";
  }

  rows(): Rows {
    this.refresh();
    const { query, sort } = this.app.state.now;
    const matches = query.trim() ? matcher(query) : () => true;
    const found = matches ? this.all.filter((row) => matches(row.name) || matches(this.source(row))) : [];
    const descending = sort.startsWith("-");
    const compare = this.order(sort.replace("-", "") as SortKey);
    found.sort((x, y) => (descending ? compare(y, x) : compare(x, y)) || (x.name < y.name ? -1 : x.name > y.name ? 1 : 0));
    const flat = found.reduce((total, row) => total + row.flat, 0);
    return { rows: found, all: this.all.length, whole: this.whole, flat, unreadable: matches === null };
  }

  /** Where most of a row is in the source, and how many more lines it covers; without a source file the module, without
   * a name the reason. "" where the name tells. */
  source(row: Row): string {
    const { by } = this.app.state.now;
    const sample = this.grouping.sample[row.id]!;
    if (sample >= NO_FRAME || by === "module" || by === "file") return "";
    if (by !== "function") return "";
    const frames = this.framesOf(row.id);
    const file = fileOf(this.app.document, frames[0] ?? sample);
    const { frames: columns } = this.app.document;
    if (file === null) {
      const { module, where } = frameText(this.app.document, sample);
      return functionOf(this.app.document, sample) === null ? where : module;
    }
    const lines = new Set(frames.map((frame) => columns.line[frame]!).filter(Boolean));
    const line = columns.line[frames[0] ?? sample]!;
    const more = lines.size > 1 ? ` and ${lines.size - 1} more` : "";
    return `${baseName(file)}${line ? `:${line}` : ""}${more}`;
  }

  /** The frames of a row with any value below them, the heaviest first: by what stands there itself, then in all. */
  private framesOf(id: number): number[] {
    if (!this.weights) this.weigh();
    return this.places.get(id) ?? [];
  }

  private weigh(): void {
    const { dataset, at } = this.app;
    this.weights = dataset.byNode(magnitudes(this.app.values()), at);
    const { self, total } = this.weights;
    const weight = new Map<number, { row: number; flat: number; cum: number }>();
    for (let node = 1; node < total.length; node++) {
      if (!total[node]) continue;
      const frame = dataset.frame[node]!;
      const found = weight.get(frame) ?? { row: this.grouping.row[node]!, flat: 0, cum: 0 };
      found.flat += self[node]!;
      found.cum += total[node]!;
      weight.set(frame, found);
    }
    this.places.clear();
    const heaviest = [...weight].sort(([, x], [, y]) => y.flat - x.flat || y.cum - x.cum);
    for (const [frame, { row }] of heaviest) {
      const known = this.places.get(row);
      if (known) known.push(frame);
      else this.places.set(row, [frame]);
    }
  }

  private refresh(): void {
    const { app } = this;
    const { by, hide, value, sort } = app.state.now;
    const range = app.range;
    const byCum = sort.endsWith("cum");
    const key = JSON.stringify([by, hide, value, app.dataset.info.kind, range, byCum]);
    if (key === this.key) return;
    this.key = key;
    this.weights = null;
    this.grouping = app.grouping();
    const sums = tableSums(app.dataset, this.grouping, app.values(), app.at);
    const before = app.isDifference ? tableSums(app.dataset, this.grouping, app.values({ a: -1, b: range.a }), app.at) : null;
    this.whole = sum(magnitudes(app.values()));
    this.all = Array.from(sums.rows, (id) => this.row(id, sums, before, byCum));
  }

  private row(id: number, sums: TableSums, before: TableSums | null, byCum: boolean): Row {
    const column = byCum ? "cum" : "flat";
    const old = before?.[column][id] ?? 0;
    const name = placeText(this.app.document, this.grouping.sample[id]!, this.app.state.now.by);
    return { id, name, flat: sums.flat[id]!, cum: sums.cum[id]!, before: old, now: old + sums[column][id]! };
  }

  private order(key: SortKey): (x: Row, y: Row) => number {
    const size = (row: Row): number => {
      if (key === "before" || key === "now") return row[key];
      if (key === "times") return row.before > 0 ? row.now / row.before : row.now > 0 ? Infinity : 0;
      // As in `heaptide top`: what shrank much stands beside what grew much.
      return Math.abs(key === "cum" ? row.cum : row.flat);
    };
    const other = (row: Row) => Math.abs(key === "cum" ? row.flat : row.cum);
    if (key === "name") return (x, y) => (x.name < y.name ? -1 : x.name > y.name ? 1 : 0);
    if (key === "source") return (x, y) => this.source(x).localeCompare(this.source(y));
    return (x, y) => {
      const [left, right] = [size(x), size(y)];
      return left === right ? other(x) - other(y) : left < right ? -1 : 1;
    };
  }
}
