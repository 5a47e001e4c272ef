// SPDX-License-Identifier: Apache-2.0
// The timeline: resident memory by the ledger's parts, or in use by site; the range is chosen on it.

import type uPlot from "uplot";
import type { App } from "./app";
import { choice } from "./controls";
import { el, perFrame, setText } from "./dom";
import { momentText } from "./moments";
import { FAINT, INK, LINE, PAPER, PARTS, REST, SITES, type Tone } from "./palette";
import { setRange } from "./range";
import type { Change } from "./state";
import { colour } from "./theme";
import { followDrags } from "./timeline_drag";
import { stackedPlot, type Layer } from "./timeline_plot";
import { offset, size } from "./units";
import type { View } from "./views";

const ENDS: Tone = { light: "#0065a0", dark: "#5cb3ef" };

type Mode = "resident" | "sites";

interface Band {
  label: string;
  help: string;
  bytes: readonly number[];
  tone: Tone;
}

export class Timeline implements View {
  private app!: App;
  private plot: uPlot | null = null;
  private isDragging: () => boolean = () => false;
  /** What came while a range was being dragged is drawn afterwards. */
  private outdated = false;
  private drawnMode: Mode | null = null;
  private readonly box = el("div", { class: "timeline-plot", role: "img" });
  private readonly legend = el("ul", { class: "legend" });
  private readonly table = el("details", { class: "small" }, el("summary", {}, "Timeline as a table"));
  private head!: HTMLElement;
  private showMode: (mode: Mode) => void = () => undefined;
  private amounts: HTMLElement[] = [];
  private readonly time = el("li", { class: "legend-time" });
  private readonly redraw = perFrame(() => this.plot?.redraw(false));

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    this.head = el("div", { class: "part-head" }, el("h2", {}, "Timeline"));
    host.append(this.head, el("figure", {}, this.box, this.legend), this.table);
    if (this.hasLedger && app.header.top_sites.length) {
      const modes = [["resident", "Resident memory"], ["sites", "In use by site"]] as const;
      const { element, set } = choice<Mode>("What the timeline shows", modes, (mode) => app.state.setMore("timeline", mode));
      this.showMode = set;
      this.head.append(element);
    }
    this.table.addEventListener("toggle", () => this.table.open && this.fillTable());
    new ResizeObserver(() => this.resize()).observe(this.box);
    this.draw();
  }

  update(change: Change): void {
    const isNew = change.has("document") || change.has("theme") || this.mode !== this.drawnMode;
    if (!isNew) this.redraw();
    else if (this.isDragging()) this.outdated = true;
    else this.draw();
    if (change.has("document") && this.table.open) this.fillTable();
  }

  private get hasLedger(): boolean {
    return (this.app.header.ledger?.t_s.length ?? 0) > 1;
  }

  private get mode(): Mode {
    const wanted = this.app.state.now.more["timeline"];
    if (!this.hasLedger) return "sites";
    return wanted === "sites" && this.app.header.top_sites.length ? "sites" : "resident";
  }

  private get times(): readonly number[] {
    const { ledger, moments } = this.app.header;
    return this.mode === "resident" ? ledger!.t_s : moments.t_s;
  }

  private bands(): Band[] {
    const { ledger, top_sites } = this.app.header;
    if (this.mode === "sites") {
      return top_sites.map(({ label, bytes }, i) => ({
        label, bytes, help: label, tone: i === top_sites.length - 1 ? REST : SITES[i % SITES.length]!,
      }));
    }
    const seen = ledger!.parts.filter((part) => part.bytes.some((bytes) => bytes > 0));
    return seen.map(({ name, label, help, bytes }) => ({ label, help, bytes, tone: PARTS[name] ?? REST }));
  }

  private draw(): void {
    this.plot?.destroy();
    this.plot = null;
    this.outdated = false;
    this.drawnMode = this.mode;
    this.showMode(this.mode);
    const bands = this.bands();
    this.box.hidden = !bands.length || this.times.length < 2;
    if (this.box.hidden) return void this.legend.replaceChildren(el("li", {}, "Nothing to draw yet: that needs two moments with something in use."));
    this.fillLegend(bands);
    const tones = (tone: Tone) => colour(tone, this.app.state);
    const layers: Layer[] = bands.map(({ label, bytes, tone }) => ({ label, bytes, colour: tones(tone) }));
    this.plot = stackedPlot(this.box, this.times, layers, { ink: tones(INK), faint: tones(FAINT), line: tones(LINE) }, {
      drawn: (plot) => this.drawRange(plot),
      hovered: (index) => this.fillAmounts(index),
    });
    this.isDragging = followDrags(this.plot, {
      ends: () => this.ends(),
      nearest: (seconds) => nearest(this.app.header.moments.t_s, seconds),
      choose: (a, b) => setRange(this.app, a, b),
      ended: () => this.outdated && this.draw(),
    });
    this.fillAmounts(null);
    this.describe(bands);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (this.plot && width && (this.plot.width !== width || this.plot.height !== height)) this.plot.setSize({ width, height });
  }

  private ends(): { a: number | null; b: number } {
    const { a, b } = this.app.range;
    const { t_s } = this.app.header.moments;
    return { a: a < 0 ? null : t_s[a]!, b: t_s[b]! };
  }

  /** What lies outside the range pales; its ends and the steps of suspects are lines. */
  private drawRange(plot: uPlot): void {
    const { ctx, bbox } = plot;
    const { a, b } = this.ends();
    const [from, to] = [a === null ? bbox.left : plot.valToPos(a, "x", true), plot.valToPos(b, "x", true)];
    const tones = (tone: Tone) => colour(tone, this.app.state);
    ctx.save();
    ctx.globalAlpha = 0.62;
    ctx.fillStyle = tones(PAPER);
    if (a !== null) ctx.fillRect(bbox.left, bbox.top, from - bbox.left, bbox.height);
    ctx.fillRect(to, bbox.top, bbox.left + bbox.width - to, bbox.height);
    ctx.globalAlpha = 1;
    ctx.lineWidth = devicePixelRatio;
    ctx.strokeStyle = tones(INK);
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const seconds of this.stepTimes()) upright(ctx, plot.valToPos(seconds, "x", true), bbox);
    ctx.setLineDash([]);
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.strokeStyle = tones(ENDS);
    if (a !== null) upright(ctx, from, bbox);
    upright(ctx, to, bbox);
    ctx.restore();
  }

  private stepTimes(): number[] {
    return this.app.header.suspects.filter((suspect) => suspect.acts).flatMap((suspect) => suspect.step_s);
  }

  private fillLegend(bands: readonly Band[]): void {
    this.amounts = bands.map(() => el("span", { class: "amount" }));
    const items = bands.map(({ label, help, tone }, i) => {
      const swatch = el("span", { class: "swatch" });
      swatch.style.background = colour(tone, this.app.state);
      return el("li", { title: help }, swatch, el("span", { class: "name" }, label), this.amounts[i]!);
    });
    const step = el("li", {}, el("span", { class: "swatch step" }), "a suspect rose at once");
    this.legend.replaceChildren(this.time, ...items.reverse(), ...(this.stepTimes().length ? [step] : []));
  }

  /** The layers' sizes at the moment under the cursor, else at the range's end. */
  private fillAmounts(hovered: number | null): void {
    const { times } = this;
    const index = hovered ?? nearest(times, this.ends().b);
    setText(this.time, `at ${offset(times[index] ?? 0)}`);
    this.bands().forEach(({ bytes }, i) => this.amounts[i] && setText(this.amounts[i], size(bytes[index] ?? 0)));
  }

  private describe(bands: readonly Band[]): void {
    const last = this.times.length - 1;
    const what = this.mode === "resident" ? "Resident memory by part" : "Memory in use by site";
    const ends = bands.map(({ label, bytes }) => `${label} from ${size(bytes[0] ?? 0)} to ${size(bytes[last] ?? 0)}`);
    this.box.setAttribute("aria-label", `${what} over time: ${ends.join(", ")}. The same as a table is below.`);
  }

  private fillTable(): void {
    const { moments, ledger } = this.app.header;
    const resident = new Map(ledger?.number.map((number, i) => [number, ledger.rss[i]!]));
    const number = (text: string) => el("td", { class: "number" }, text);
    const rows = moments.number.map((shot, i) => {
      const rss = resident.get(shot);
      const cells = [number(size(moments.in_use[i]!)), number(size(moments.allocated[i]!)), number(rss === undefined ? "" : size(rss))];
      return el("tr", {}, el("td", {}, momentText(moments, i)), el("td", {}, offset(moments.t_s[i]!)), ...cells);
    });
    const titles = ["Moment", "Offset", "In use", "Allocated", "Resident"];
    const head = titles.map((title, i) => el("th", { scope: "col", class: i > 1 ? "number" : "" }, title));
    const table = el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
    const box = el("div", { class: "table-box", tabindex: 0, role: "region", "aria-label": "Timeline as a table" }, table);
    this.table.replaceChildren(this.table.firstElementChild!, box);
  }
}

function upright(ctx: CanvasRenderingContext2D, x: number, box: { top: number; height: number }): void {
  ctx.beginPath();
  ctx.moveTo(x, box.top);
  ctx.lineTo(x, box.top + box.height);
  ctx.stroke();
}

/** Index of the entry nearest to a value in an ascending column. */
function nearest(column: readonly number[], value: number): number {
  const after = column.findIndex((entry) => entry >= value);
  if (after <= 0) return after < 0 ? column.length - 1 : 0;
  return value - column[after - 1]! <= column[after]! - value ? after - 1 : after;
}
