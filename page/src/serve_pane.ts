// SPDX-License-Identifier: Apache-2.0
// One capture on the page: fetches its document whenever there is a newer one, and says what is wrong meanwhile.

import { App } from "./app";
import type { PageDocument } from "./document";
import { el, setText } from "./dom";
import { pageOf, shows, type Entry } from "./serve_api";
import type { State } from "./state";

/** Draws an app into a host; the function that is returned ends that. */
export type Mount = (host: HTMLElement, app: App) => () => void;

export class Pane {
  readonly element = el("div", { class: "serve-pane" });
  app: App | null = null;
  private readonly notice = el("p", { class: "serve-notice", role: "status" });
  private readonly bar = el("progress", { max: 1, "aria-label": "Reading the capture" });
  private readonly page = el("div");
  private unmount: (() => void) | null = null;
  private entry: Entry | null = null;
  private have = 0;
  private busy = false;
  private closed = false;

  /** `ready` is called whenever a document has come. */
  constructor(
    private readonly state: State,
    private readonly mount: Mount,
    private readonly ready: (app: App) => void,
  ) {
    this.element.append(this.notice, this.bar, this.page);
    this.bar.hidden = true;
  }

  /** Shows this capture, or what is new of it. */
  show(entry: Entry): void {
    if (this.entry && this.entry.id !== entry.id) this.clear();
    this.entry = entry;
    const loading = entry.state === "loading";
    this.bar.hidden = !loading;
    this.bar.value = entry.progress;
    this.tell(entry.message ? `${entry.name}: ${entry.message}` : "", entry.state !== "loading");
    if (entry.version > this.have) void this.fetch();
  }

  close(): void {
    this.closed = true;
    this.clear();
    this.element.remove();
  }

  private clear(): void {
    this.unmount?.();
    this.unmount = this.app = null;
    this.have = 0;
    this.page.replaceChildren();
  }

  private tell(text: string, wrong: boolean): void {
    setText(this.notice, text);
    this.notice.hidden = !text;
    this.notice.classList.toggle("wrong", wrong);
  }

  /** One document at a time: what came meanwhile is fetched afterwards. */
  private async fetch(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      while (!this.closed && this.entry && this.entry.version > this.have) {
        const { id, version } = this.entry;
        const found = await pageOf(id);
        if (this.closed || this.entry?.id !== id) continue;
        this.have = version;
        this.take(found, id);
      }
    } catch (error) {
      this.tell(`${this.entry?.name}: ${error instanceof Error ? error.message : String(error)}`, true);
    } finally {
      this.busy = false;
    }
  }

  private take(found: PageDocument, id: string): void {
    if (this.app && sameRecording(this.app.document, found)) {
      this.followEnd();
      this.app.replace(found);
    } else {
      if (this.app) this.state.set({ a: null, b: null, focus: "" }); // of a recording that is not shown any more
      this.unmount?.();
      this.page.replaceChildren();
      this.app = new App(found, this.state);
      shows(this.app, id);
      this.unmount = this.mount(this.page, this.app);
    }
    this.ready(this.app);
  }

  /** A range that ended at the last moment goes on ending there. */
  private followEnd(): void {
    const { number, end } = this.app!.header.moments;
    const { b } = this.state.now;
    if (b !== null && b >= number[end]!) this.state.set({ b: null });
  }
}

function sameRecording(one: PageDocument, other: PageDocument): boolean {
  return one.header.started_ms === other.header.started_ms && one.header.pid === other.header.pid;
}
