// SPDX-License-Identifier: Apache-2.0
// Source files with what each of their lines holds. The server reads them; it says why where it does not.

import type { App } from "./app";
import { el, setText, uniqueId } from "./dom";
import { fillOptions } from "./serve_choice";
import { captureOf, isServed, sourceFiles, sourceOf, wantedOf, type Source, type SourceFile } from "./serve_api";
import type { Change } from "./state";
import type { Tab, View } from "./views";

/** Settings of this view in the fragment. */
const FILE = "source.file";
const LINE = "source.line";
/** A drag changes the range with every pixel; the server is asked when it rests. */
const REST_MS = 200;
/** Lines of one block: a browser lays out only the blocks that are seen. */
const BLOCK = 100;

export const SOURCE_TAB: Tab = {
  id: "source",
  label: "Source",
  available: () => isServed(),
  create: () => new SourceView(),
};

/** Shows a line of a source file, as a frame names it. */
export function showSource(app: App, file: string, line: number): void {
  const more: Record<string, string> = { ...app.state.now.more, [FILE]: file };
  if (line) more[LINE] = String(line);
  else delete more[LINE];
  app.state.set({ view: SOURCE_TAB.id, more });
}

class SourceView implements View {
  private app!: App;
  private files: SourceFile[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking: AbortController | null = null;
  private readonly choice = el("select", { change: () => showSource(this.app, this.choice.value, 0) });
  private readonly said = el("p", { role: "status", class: "faint" });
  private readonly table = el("div", { class: "source", tabindex: 0, role: "region", "aria-label": "Source file" });
  /** The file and line that were last scrolled to. */
  private seen = "";

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    const id = uniqueId("source-file");
    this.choice.id = id;
    const head = el("div", { class: "source-head" }, el("label", { for: id }, "File"), this.choice, this.said);
    host.append(head, this.table);
    void this.refresh();
  }

  update(change: Change): void {
    if (change.size === 1 && change.has("view")) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(), REST_MS);
  }

  /** Asks for the list of files and the chosen one. A newer question ends an older one. */
  private async refresh(): Promise<void> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      const [id, wanted] = [captureOf(this.app), wantedOf(this.app)];
      this.files = await sourceFiles(id, wanted, asking.signal);
      const file = this.chosen();
      this.drawChoice(file);
      if (!file) return this.nothing("No frame of what is shown names a source file.");
      this.draw(await sourceOf(id, file.index, wanted, asking.signal));
    } catch (error) {
      if (!asking.signal.aborted) this.nothing(error instanceof Error ? error.message : String(error));
    }
  }

  private chosen(): SourceFile | undefined {
    const name = this.app.state.now.more[FILE];
    return this.files.find((file) => file.name === name) ?? this.files[0];
  }

  private drawChoice(file: SourceFile | undefined): void {
    fillOptions(this.choice, this.files.map(({ name }) => [name, name]), file?.name ?? "");
  }

  private nothing(text: string): void {
    this.table.replaceChildren();
    this.table.hidden = true;
    this.seen = "";
    setText(this.said, text);
  }

  private draw(source: Source): void {
    const what = source.lines ? "" : `The file is not shown: ${source.reason}. `;
    const held = `${source.amounts.length} of its lines hold something.`;
    setText(this.said, `${what}${held} Total ${source.total}.`);
    const amounts = new Map(source.amounts.map((amount) => [amount.line, amount]));
    const wanted = Number(this.app.state.now.more[LINE] ?? 0);
    const numbers = source.lines ? source.lines.map((_, index) => index + 1) : [...amounts.keys()];
    const head = el("thead", {}, el("tr", {}, ...["Line", "Flat", "Cumulative", "Source"].map(heading)));
    const table = el("table", { class: "source-lines" }, el("caption", { class: "unseen" }, source.name), head);
    let first: HTMLElement | null = null;
    for (let start = 0; start < numbers.length; start += BLOCK) {
      const body = el("tbody");
      for (const line of numbers.slice(start, start + BLOCK)) {
        const amount = amounts.get(line);
        const row = el("tr", { "data-line": line, class: amount ? "holds" : "" });
        row.append(
          el("th", { scope: "row", class: "number" }, line ? String(line) : "?"),
          el("td", { class: "number" }, amount?.flat_text ?? ""),
          cumulative(amount),
          el("td", {}, el("code", {}, source.lines?.[line - 1] ?? "")),
        );
        if (line === wanted) row.classList.add("wanted");
        if (line === wanted || (!wanted && amount && !first)) first = row;
        body.append(row);
      }
      table.append(body);
    }
    const place = this.table.scrollTop;
    this.table.hidden = false;
    this.table.replaceChildren(table);
    const seen = `${source.name}:${wanted}`;
    this.table.scrollTop = seen === this.seen ? place : (first?.offsetTop ?? 0) - this.table.clientHeight / 2;
    this.seen = seen;
  }
}

function heading(text: string): HTMLElement {
  return el("th", { scope: "col", class: text === "Source" ? "" : "number" }, text);
}

/** A number with a bar behind it, its share of the total. */
function cumulative(amount: Source["amounts"][number] | undefined): HTMLElement {
  const cell = el("td", { class: "number" }, amount?.cum_text ?? "");
  if (amount) {
    cell.style.setProperty("--part", String(amount.part));
    cell.title = amount.share;
  }
  return cell;
}
