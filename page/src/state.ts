// SPDX-License-Identifier: Apache-2.0
// What is being looked at: one small observable value, and its two-way tie to the URL's fragment.

import type { Kind } from "./document";
import type { By, Value } from "./sums";

export type Theme = "auto" | "light" | "dark";

export interface Settings {
  /** Snapshot numbers, not indices: a link means the same when the capture grew. null: no base; the end. */
  a: number | null;
  b: number | null;
  kind: Kind;
  value: Value;
  by: By;
  /** The tab. */
  view: string;
  /** What is searched for: table rows, flame graph frames. */
  query: string;
  /** Root of what is shown, as the flame graph writes it. */
  focus: string;
  /** Column and direction of the table: "flat", "-flat" (descending first). */
  sort: string;
  /** Values stand at the site, and frames below it are left out. */
  hide: boolean;
  theme: Theme;
  /** The capture that is shown, where there are several. */
  capture: string;
  /** Settings of single views: "flame.order" and the like. */
  more: Readonly<Record<string, string>>;
}

export type Change = ReadonlySet<keyof Settings | "document">;

export const DEFAULTS: Settings = {
  a: null,
  b: null,
  kind: "heap",
  value: "inuse_space",
  by: "function",
  view: "flame",
  query: "",
  focus: "",
  sort: "-flat",
  hide: true,
  theme: "auto",
  capture: "",
  more: {},
};

const CHOICES: { readonly [key in keyof Settings]?: readonly string[] } = {
  kind: ["heap", "mmap"],
  value: ["inuse_space", "inuse_objects", "alloc_space", "alloc_objects"],
  by: ["function", "line", "file", "module", "address"],
  theme: ["auto", "light", "dark"],
};
const SHORT: { readonly [key: string]: keyof Settings } = { q: "query", c: "capture" };
const LONG = Object.fromEntries(Object.entries(SHORT).map(([short, long]) => [long, short]));

type Listener = (change: Change) => void;

/** The settings, and who wants to hear of their changes. */
export class State {
  private settings: Settings;
  private readonly listeners = new Set<Listener>();

  constructor(start: Partial<Settings> = {}) {
    this.settings = { ...DEFAULTS, ...start };
  }

  get now(): Readonly<Settings> {
    return this.settings;
  }

  /** Changes some settings and tells once, if anything is different. */
  set(changes: Partial<Settings>): void {
    const different = (Object.keys(changes) as (keyof Settings)[]).filter(
      (key) => JSON.stringify(changes[key]) !== JSON.stringify(this.settings[key]),
    );
    if (!different.length) return;
    this.settings = { ...this.settings, ...changes };
    this.tell(new Set(different));
  }

  /** Sets one setting of a single view; null takes it away. */
  setMore(key: string, value: string | null): void {
    const { [key]: _, ...rest } = this.settings.more;
    this.set({ more: value === null ? rest : { ...rest, [key]: value } });
  }

  /** Calls every listener; `document`: what is shown was replaced by a newer one. */
  tell(change: Change): void {
    for (const listener of [...this.listeners]) listener(change);
  }

  /** Calls `listener` after every change until the function that is returned is called. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

/** Settings as a URL fragment, without "#"; what is as usual is left out. */
export function toFragment(settings: Readonly<Settings>): string {
  const parts = new URLSearchParams();
  for (const [key, usual] of Object.entries(DEFAULTS)) {
    const value = settings[key as keyof Settings];
    if (key === "more" || value === usual || value === null) continue;
    parts.set(LONG[key] ?? key, value === true ? "1" : value === false ? "0" : String(value));
  }
  for (const [key, value] of Object.entries(settings.more)) parts.set(key, value);
  return parts.toString();
}

/** The settings that a fragment names; everything else is as usual. What cannot be read is as usual, too. */
export function fromFragment(fragment: string): Settings {
  const settings: Record<string, unknown> = { ...DEFAULTS };
  const more: Record<string, string> = {};
  for (const [name, text] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    const key = SHORT[name] ?? (name as keyof Settings);
    if (!Object.hasOwn(DEFAULTS, key) || key === "more") more[name] = text;
    else if (key === "a" || key === "b") settings[key] = /^\d{1,15}$/.test(text) ? Number(text) : null;
    else if (key === "hide") settings[key] = text !== "0";
    else if (CHOICES[key]?.includes(text) ?? true) settings[key] = text;
  }
  return { ...(settings as unknown as Settings), more };
}

/** Keeps the address in step with the state, and the state with the address (back, forward, edited by hand). */
export function tieToAddress(state: State): void {
  state.set(fromFragment(location.hash));
  state.subscribe(() => {
    const fragment = toFragment(state.now);
    // replaceState: a drag must not leave a hundred steps in the history.
    if (fragment !== location.hash.replace(/^#/, "")) history.replaceState(null, "", fragment ? `#${fragment}` : "#");
  });
  addEventListener("hashchange", () => state.set(fromFragment(location.hash)));
}
