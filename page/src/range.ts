// SPDX-License-Identifier: Apache-2.0
// The chosen range in words, and the ways to choose it without a mouse: sliders, and moments typed in.

import type { App } from "./app";
import { el, setText, uniqueId } from "./dom";
import { findMoment, MOMENT_HELP, momentText } from "./moments";
import type { Change } from "./state";
import { count, quantity } from "./units";
import type { View } from "./views";

const VALUE_WORDS = {
  inuse_space: "in use",
  inuse_objects: "blocks in use",
  alloc_space: "allocated",
  alloc_objects: "blocks allocated",
} as const;

/** What the chosen value is called. */
export function valueWords(app: App): string {
  return VALUE_WORDS[app.state.now.value];
}

/** `12.3 MiB in use (95 %: +/- 1.2 MiB)`; of a change of what is in use only a bound of the error is known here. */
export function totalText(app: App): string {
  const total = quantity(app.total(), app.unit, app.isDifference);
  const error = app.error();
  const bound = app.isDifference && app.state.now.value === "inuse_space" ? "at most " : "";
  const sure = error ? ` (95 %: ${bound}+/- ${quantity(error, app.unit)})` : "";
  return `${total} ${valueWords(app)}${sure}`;
}

/** A value without rounding: `12,345,678 bytes`. */
export function exactText(app: App, value: number): string {
  return `${count(value, app.isDifference)} ${app.unit}`;
}

/** Sets the range by index; a = -1 takes the base away, b at the end follows the end of a running program. */
export function setRange(app: App, a: number, b: number): void {
  const { number, end } = app.header.moments;
  const [early, late] = a <= b ? [a, b] : [b, a];
  app.state.set({ a: early < 0 ? null : number[early]!, b: late === end ? null : number[late]! });
}

/** One line: from when to when, and how much. A live region says it again, once it has come to rest. */
export class RangeText implements View {
  private readonly moments = el("span", { class: "moments" });
  private readonly total = el("strong", {});
  private readonly spoken = el("span", { class: "unseen", role: "status", "aria-live": "polite" });
  private app!: App;
  private waiting = 0;

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    host.classList.add("range-text");
    host.append(this.moments, " ", this.total, this.spoken);
    this.update();
  }

  update(change?: Change): void {
    const { app } = this;
    const { a, b } = app.range;
    const moments = app.header.moments;
    if (!moments.number.length) return;
    const from = a < 0 ? "" : `${momentText(moments, a)} -> `;
    setText(this.moments, `${from}${momentText(moments, b)}${a < 0 ? ":" : ","}`);
    setText(this.total, totalText(app));
    this.total.title = exactText(app, app.total());
    // A capture that grows changes by itself every few seconds: nobody wants to hear that.
    if (change?.size === 1 && change.has("document")) return;
    clearTimeout(this.waiting);
    this.waiting = window.setTimeout(() => setText(this.spoken, `${this.moments.textContent} ${this.total.textContent}`), 400);
  }
}

/** Two sliders with a text field each, and a reset. */
export class RangeControls implements View {
  private app!: App;
  private rows: { slider: HTMLInputElement; field: HTMLInputElement; which: "a" | "b" }[] = [];
  private readonly problem = el("span", { class: "problem", role: "alert" });
  private reset!: HTMLButtonElement;

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    const sliders = el("div", { class: "sliders", role: "group", "aria-label": "Range" });
    this.addRow(sliders, "a", "Base", "The range begins after this moment; none: everything up to the end");
    this.addRow(sliders, "b", "At", "The range ends at this moment");
    this.reset = el("button", { type: "button", click: () => setRange(app, -1, app.header.moments.end) }, "Reset range");
    const help = el("span", { class: "faint" }, `Drag on the picture, move the sliders, or type a moment: ${MOMENT_HELP}.`);
    host.append(sliders, el("div", { class: "range-line" }, this.reset, help, this.problem));
    this.update(new Set(["document"]));
  }

  update(_change: Change): void {
    const { a, b } = this.app.range;
    const { number } = this.app.header.moments;
    for (const { slider, field, which } of this.rows) {
      const index = which === "a" ? a : b;
      slider.max = String(number.length - 1);
      slider.value = String(index);
      slider.setAttribute("aria-valuetext", index < 0 ? "none" : momentText(this.app.header.moments, index));
      if (document.activeElement !== field) field.value = index < 0 ? "none" : `#${number[index]}`;
    }
    this.reset.disabled = this.app.state.now.a === null && this.app.state.now.b === null;
  }

  private addRow(host: HTMLElement, which: "a" | "b", label: string, help: string): void {
    const id = uniqueId("range");
    const slider = el("input", { type: "range", id, min: which === "a" ? -1 : 0, step: 1, title: help });
    slider.addEventListener("input", () => this.choose(which, Number(slider.value)));
    const field = el("input", { type: "text", "aria-label": `${label}, as a moment`, spellcheck: "false", autocomplete: "off", title: MOMENT_HELP });
    field.addEventListener("change", () => this.read(which, field));
    field.addEventListener("blur", () => this.update(new Set()));
    host.append(el("label", { for: id }, label), slider, field);
    this.rows.push({ slider, field, which });
  }

  private choose(which: "a" | "b", index: number): void {
    const { a, b } = this.app.range;
    // A slider pushes the other one before it: the ends never change their roles under the hand that moves one.
    if (which === "a") setRange(this.app, index, Math.max(index, b));
    else setRange(this.app, Math.min(a, index), index);
  }

  private read(which: "a" | "b", field: HTMLInputElement): void {
    const text = field.value.trim();
    const none = which === "a" && (text === "" || text === "none");
    const index = none ? -1 : findMoment(text, this.app.header.moments);
    field.setAttribute("aria-invalid", String(index === null));
    setText(this.problem, index === null ? `"${text}" is no moment of this recording.` : "");
    if (index !== null) this.choose(which, index);
  }
}
