// SPDX-License-Identifier: Apache-2.0
// What every view is handed: the document, the settings, and the numbers of what is being looked at.

import type { PageDocument } from "./document";
import { Dataset, Grouping, sum, totalError, type By, type Range, type Value } from "./sums";
import type { State } from "./state";

/** One document being looked at. Two of them may stand side by side on one page. */
export class App {
  private sets: (Dataset | undefined)[] = [];
  private groupings = new Map<string, Grouping>();

  constructor(
    public document: PageDocument,
    readonly state: State,
  ) {}

  /** Shows a newer state of the same capture. The range stays, by snapshot number; one that reached the end still does. */
  replace(document: PageDocument): void {
    this.document = document;
    this.sets = [];
    this.groupings.clear();
    this.state.tell(new Set(["document"]));
  }

  get header() {
    return this.document.header;
  }

  /** The dataset of the chosen kind, else the first. */
  get dataset(): Dataset {
    const kind = this.state.now.kind;
    const index = Math.max(0, this.header.datasets.findIndex((info) => info.kind === kind));
    return (this.sets[index] ??= new Dataset(this.document, index));
  }

  /** The chosen range. A snapshot that the document does not know is the last known one before it. */
  get range(): Range {
    const { a, b } = this.state.now;
    const at = (number: number) => this.header.moments.number.findLastIndex((known) => known <= number);
    return { a: a === null ? -1 : at(a), b: b === null ? this.header.moments.end : Math.max(0, at(b)) };
  }

  /** Whether a base is chosen: values are then changes. */
  get isDifference(): boolean {
    return this.range.a >= 0;
  }

  /** The chosen value of each stack of `dataset`, over the chosen range or over another. Shared: do not write to it. */
  values(range: Range = this.range, value: Value = this.state.now.value): Float64Array {
    return this.dataset.values(value, range);
  }

  /** Where each stack's value stands, as `heaptide top` has it, or at the innermost frame. */
  get at(): Uint32Array {
    return this.state.now.hide ? this.dataset.site : this.dataset.leaf;
  }

  total(range: Range = this.range, value: Value = this.state.now.value): number {
    return sum(this.values(range, value));
  }

  /** See `totalError`. Mappings are counted one by one in both modes: they have no error. */
  error(range: Range = this.range, value: Value = this.state.now.value): number | null {
    return this.dataset.info.kind === "mmap" ? 0 : totalError(this.document, value, range);
  }

  grouping(by: By = this.state.now.by): Grouping {
    const key = `${this.dataset.index} ${by}`;
    let found = this.groupings.get(key);
    if (!found) this.groupings.set(key, (found = new Grouping(this.document.frames, this.dataset, by)));
    return found;
  }

  get unit(): "bytes" | "objects" {
    return this.state.now.value.endsWith("_space") ? "bytes" : "objects";
  }
}
