// SPDX-License-Identifier: Apache-2.0
// The table: flat and cumulative by place. Only the rows that can be seen are in the document.

import type { App } from "./app";
import { el, perFrame, setText } from "./dom";
import type { Change } from "./state";
import { exactText } from "./range";
import { isPrinting } from "./theme";
import { TableModel, type Row, type Rows, type SortKey } from "./table_rows";
import { count, percent, quantity, times } from "./units";
import type { View } from "./views";

interface Column {
  key: SortKey;
  title: string;
  width: string;
  number: boolean;
  text(row: Row, found: Rows): string;
  /** Its value without rounding, where it has one. */
  exact: ((row: Row) => number) | null;
}

type Amount = "flat" | "cum" | "before" | "now";

const ROW_HEIGHT = 26;
const SPARE = 12;
/** So many rows go on paper. */
const ON_PAPER = 100;
/** Where there is little room, the table has the name and one number. */
const NARROW = matchMedia("(max-width: 700px)");

export class Table implements View {
  private app!: App;
  private model!: TableModel;
  private found!: Rows;
  private columns: Column[] = [];
  private current = 0;
  private readonly grid = el("div", { class: "grid" });
  private readonly head = el("thead", {});
  private readonly body = el("tbody", {});
  private readonly table = el("table", { role: "grid", "aria-label": "Table of places" }, this.head, this.body);
  private readonly said = el("span", { class: "faint", role: "status" });
  private readonly search = el("input", { type: "search", placeholder: "Filter: text or /regex/", "aria-label": "Filter rows", spellcheck: "false" });
  private readonly drawSoon = perFrame(() => this.drawRows());

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    this.model = new TableModel(app);
    this.search.addEventListener("input", () => app.state.set({ query: this.search.value }));
    this.grid.append(this.table);
    host.append(el("div", { class: "table-tools" }, this.search, this.said), this.grid);
    this.grid.addEventListener("scroll", this.drawSoon, { passive: true });
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    this.body.addEventListener("dblclick", (event) => this.open(this.rowOf(event.target)));
    new ResizeObserver(this.drawSoon).observe(this.grid);
    NARROW.addEventListener("change", () => this.update(new Set()));
    this.update(new Set(["document"]));
  }

  update(change: Change): void {
    if (change.has("document")) this.model.reset();
    const { query } = this.app.state.now;
    if (this.search.value !== query) this.search.value = query;
    this.found = this.model.rows();
    this.current = Math.max(0, Math.min(this.current, this.found.rows.length - 1));
    this.columns = this.chooseColumns();
    this.drawHead();
    this.drawRows();
    this.summarise();
  }

  private chooseColumns(): Column[] {
    const { unit, isDifference, state } = this.app;
    const value = (amount: number, signed = false) => quantity(amount, unit, signed);
    const column = (key: SortKey, title: string, text: Column["text"], width = "104px", number = true): Column => ({
      key, title, text, width, number, exact: null,
    });
    const amount = (key: Amount, title: string, signed = false, width?: string): Column => ({
      ...column(key, title, (row) => value(row[key], signed), width), exact: (row) => row[key],
    });
    const share = (title: string, key: "flat" | "cum", width = "96px") =>
      column(key, title, (row, found) => percent(row[key], found.whole), width);
    const other = state.now.sort.endsWith("cum") ? "flat" : "cum";
    const named = [
      column("name", state.now.by === "address" ? "Address" : state.now.by[0]!.toUpperCase() + state.now.by.slice(1), (row) => row.name, "auto", false),
      ...(state.now.by === "function" ? [column("source", "Source", (row) => this.model.source(row), "24%", false)] : []),
    ];
    if (NARROW.matches) {
      const main = other === "cum" ? "flat" : "cum";
      const title = isDifference ? "Change" : main === "flat" ? "Flat" : "Cum";
      return [named[0]!, column(main, title, (row) => value(row[main], isDifference), "96px"), share("%", main, "76px")];
    }
    if (!isDifference) {
      return [
        amount("flat", "Flat"),
        share("Flat %", "flat"),
        amount("cum", "Cum"),
        share("Cum %", "cum"),
        ...named,
      ];
    }
    const main = other === "cum" ? "flat" : "cum";
    return [
      amount("before", "Before"),
      amount("now", "Now"),
      amount(main, "Change", true),
      share("Change %", main),
      column("times", "Times", (row) => times(row.before, row.now), "84px"),
      amount(other, other === "cum" ? "Cum change" : "Flat change", true, "120px"),
      ...named,
    ];
  }

  private drawHead(): void {
    const { sort } = this.app.state.now;
    const focused = this.head.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset["column"] : null;
    const cells = this.columns.map(({ key, title, number, width }, i) => {
      const chosen = sort.replace("-", "") === key && this.columns.findIndex((column) => column.key === key) === i;
      const order = chosen ? (sort.startsWith("-") ? "descending" : "ascending") : "none";
      const arrow = chosen ? (order === "descending" ? " ▾" : " ▴") : "";
      const button = el("button", { type: "button", "data-column": i, click: () => this.sortBy(key) }, title + arrow);
      const cell = el("th", { scope: "col", "aria-sort": order, class: `${number ? "number" : `${key}-column`} ${chosen ? "sorted" : ""}` }, button);
      cell.style.width = width;
      return cell;
    });
    this.head.replaceChildren(el("tr", { "aria-rowindex": 1 }, ...cells));
    if (focused) this.head.querySelector<HTMLElement>(`[data-column="${focused}"]`)?.focus();
  }

  private sortBy(key: SortKey): void {
    const { sort } = this.app.state.now;
    const textual = key === "name" || key === "source";
    const next = sort === `-${key}` ? key : sort === key ? `-${key}` : textual ? key : `-${key}`;
    this.app.state.set({ sort: next });
  }

  private drawRows(): void {
    const { rows } = this.found;
    const printing = isPrinting();
    const height = this.grid.clientHeight || 600;
    const first = printing ? 0 : Math.max(0, Math.floor(this.grid.scrollTop / ROW_HEIGHT) - SPARE);
    const last = printing ? Math.min(rows.length, ON_PAPER) : Math.min(rows.length, first + Math.ceil(height / ROW_HEIGHT) + 2 * SPARE);
    const hadFocus = this.body.contains(document.activeElement);
    const shown = rows.slice(first, last).map((row, i) => this.rowElement(row, first + i));
    this.table.setAttribute("aria-rowcount", String(rows.length + 1));
    this.body.replaceChildren(spacer(first), ...shown, spacer(printing ? 0 : rows.length - last));
    if (hadFocus) this.body.querySelector<HTMLElement>("[tabindex='0']")?.focus({ preventScroll: true });
    if (!rows.length) this.body.replaceChildren(el("tr", {}, el("td", { colspan: this.columns.length }, "No row.")));
  }

  private rowElement(row: Row, index: number): HTMLElement {
    const cells = this.columns.map((column) => {
      const text = column.text(row, this.found);
      const cell = el("td", { class: column.number ? "number" : `${column.key}-cell` }, text);
      cell.title = column.exact ? exactText(this.app, column.exact(row)) : text;
      if (column.title === "Flat" || column.title === "Change") {
        const share = this.found.whole ? Math.abs(row[column.key as "flat" | "cum"]) / this.found.whole : 0;
        cell.classList.add("bar-cell");
        cell.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
      }
      return cell;
    });
    const props = { "aria-rowindex": index + 2, tabindex: index === this.current ? 0 : -1, "data-index": index };
    return el("tr", { ...props, class: index % 2 ? "odd" : "", focus: () => (this.current = index) }, ...cells);
  }

  private summarise(): void {
    const { rows, all, flat, whole, unreadable } = this.found;
    if (unreadable) return setText(this.said, "This is no regular expression that can be read.");
    const share = `flat ${quantity(flat, this.app.unit, this.app.isDifference)}, ${percent(flat, whole)} of all`;
    setText(this.said, rows.length < all ? `${count(rows.length)} of ${count(all)} rows, ${share}` : `${count(all)} rows`);
  }

  private rowOf(target: EventTarget | null): Row | undefined {
    const index = (target as HTMLElement | null)?.closest<HTMLElement>("tr[data-index]")?.dataset["index"];
    return index === undefined ? undefined : this.found.rows[Number(index)];
  }

  private open(row: Row | undefined): void {
    if (row) this.app.state.set({ view: "flame", query: row.name, focus: "" });
  }

  private onKey(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW_HEIGHT) - 2);
    const { length } = this.found.rows;
    const moves: { readonly [key: string]: number } = {
      ArrowDown: this.current + 1, ArrowUp: this.current - 1, PageDown: this.current + page, PageUp: this.current - page, Home: 0, End: length - 1,
    };
    if (event.key === "Enter") return this.open(this.found.rows[this.current]);
    const to = moves[event.key];
    if (to === undefined || !length) return;
    event.preventDefault();
    this.current = Math.max(0, Math.min(length - 1, to));
    this.scrollTo(this.current);
    this.drawRows();
    this.body.querySelector<HTMLElement>("[tabindex='0']")?.focus({ preventScroll: true });
  }

  private scrollTo(index: number): void {
    const [top, room] = [index * ROW_HEIGHT, this.grid.clientHeight - this.head.offsetHeight];
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + ROW_HEIGHT > this.grid.scrollTop + room) this.grid.scrollTop = top + ROW_HEIGHT - room;
  }
}

function spacer(rows: number): HTMLElement {
  const cell = el("td", {});
  cell.style.height = `${Math.max(0, rows) * ROW_HEIGHT}px`;
  return el("tr", { class: "spacer", "aria-hidden": "true", hidden: rows <= 0 }, cell);
}
