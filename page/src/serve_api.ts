// SPDX-License-Identifier: Apache-2.0
// What a server can be asked (docs/design/0012), and its news.

import type { App } from "./app";
import { readDocument, type Kind, type PageDocument } from "./document";
import type { By, Value } from "./sums";

/** A capture as the server lists it. */
export interface Entry {
  id: string;
  name: string;
  title: string;
  live: boolean;
  /** Rises with every new document; 0 while there is none. */
  version: number;
  state: "loading" | "ready" | "failed";
  progress: number;
  /** What is being done, or what is wrong; empty when all is well. */
  message: string;
}

/** A moment, or what came after `base`: snapshot numbers. */
export interface Wanted {
  at: number;
  base: number | null;
  value: Value;
  kind: Kind;
}

export interface SourceFile {
  index: number;
  name: string;
}

/** A source file; numbers come with the texts to show. */
export interface Source {
  name: string;
  total: string;
  /** null where the file is not shown; `reason` says why. */
  lines: string[] | null;
  reason: string;
  amounts: { line: number; flat_text: string; cum_text: string; share: string; part: number }[];
}

export interface Difference {
  total: string;
  rows: { name: string; place: string; before: string; after: string; change: string; times: string; sign: number }[];
  more: number;
}

export interface Format {
  name: string;
  label: string;
}

const captures = new WeakMap<App, string>();

/** Remembers which capture an app shows. */
export function shows(app: App, id: string): void {
  captures.set(app, id);
}

/** The id of the capture that an app shows. */
export function captureOf(app: App): string {
  return captures.get(app) ?? "";
}

/** What is looked at, as the server is asked for it. */
export function wantedOf(app: App): Wanted {
  const { a, b } = app.range;
  const { number } = app.header.moments;
  const { value, kind } = app.state.now;
  return { at: number[b]!, base: a < 0 ? null : number[a]!, value, kind };
}

/** Whether the page came from a server and not from a file. */
export function isServed(): boolean {
  return document.querySelector('meta[name="heaptide-serve"]') !== null;
}

export async function pageOf(id: string): Promise<PageDocument> {
  const answer = await ask(`api/page/${encodeURIComponent(id)}`);
  return readDocument(new Uint8Array(await answer.arrayBuffer()));
}

export async function formats(): Promise<Format[]> {
  return (await ask("api/formats")).json() as Promise<Format[]>;
}

export async function sourceFiles(id: string, wanted: Wanted, signal: AbortSignal): Promise<SourceFile[]> {
  return (await ask(`api/sources/${encodeURIComponent(id)}?${query(wanted)}`, signal)).json() as Promise<SourceFile[]>;
}

export async function sourceOf(id: string, file: number, wanted: Wanted, signal: AbortSignal): Promise<Source> {
  const path = `api/source/${encodeURIComponent(id)}?file=${file}&${query(wanted)}`;
  return (await ask(path, signal)).json() as Promise<Source>;
}

/** What `id` holds at its moment on top of what `old` held at its own. */
export async function differenceOf(
  id: string,
  old: string,
  at: number,
  oldAt: number,
  value: Value,
  by: By,
  signal: AbortSignal,
): Promise<Difference> {
  const parts = new URLSearchParams({ old, at: String(at), old_at: String(oldAt), value, by });
  return (await ask(`api/difference/${encodeURIComponent(id)}?${parts}`, signal)).json() as Promise<Difference>;
}

/** A moment as a file: its name, its bytes, and what the format could not hold. */
export async function download(id: string, form: string, wanted: Wanted): Promise<{ name: string; data: Blob; note: string }> {
  const answer = await ask(`api/download/${encodeURIComponent(id)}?to=${encodeURIComponent(form)}&${query(wanted)}`);
  const name = /filename\*=UTF-8''(.*)$/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? form;
  const note = decodeURIComponent(answer.headers.get("Heaptide-Note") ?? "");
  return { name: decodeURIComponent(name), data: await answer.blob(), note };
}

/** Calls `list` with the captures now and whenever something about them changed; `lost` when the server is gone or back. */
export function follow(list: (entries: Entry[]) => void, lost: (gone: boolean) => void): void {
  const stream = new EventSource("api/events");
  stream.addEventListener("captures", (event) => list(JSON.parse((event as MessageEvent<string>).data) as Entry[]));
  stream.addEventListener("open", () => lost(false));
  stream.addEventListener("error", () => lost(true));
}

function query({ at, base, value, kind }: Wanted): string {
  const parts = new URLSearchParams({ at: String(at), value, kind });
  if (base !== null) parts.set("base", String(base));
  return parts.toString();
}

/** The answer, or an error whose text can be shown. */
async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...(signal ? { signal } : {}) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("the server does not answer");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the server answers ${answer.status}`);
  return answer;
}
