// SPDX-License-Identifier: Apache-2.0
// The verdict: a mark that has a shape and a colour, the word, the sentence.

import type { App } from "./app";
import { el } from "./dom";
import type { Change } from "./state";
import type { View } from "./views";

export class Headline implements View {
  private host!: HTMLElement;
  private app!: App;

  mount(host: HTMLElement, app: App): void {
    [this.host, this.app] = [host, app];
    this.draw();
  }

  update(change: Change): void {
    if (change.has("document")) this.draw();
  }

  private draw(): void {
    const { headline } = this.app.header;
    this.host.replaceChildren(
      el("h1", { class: "headline", "data-verdict": headline.verdict }, verdictMark(headline.verdict), headline.text),
      headline.detail ? el("p", { class: "detail" }, headline.detail) : "",
    );
  }
}

/** The verdict's word with its mark; the mark says nothing that the word does not. */
export function verdictMark(verdict: string): HTMLElement {
  return el("span", { class: "verdict", "data-verdict": verdict }, verdict);
}
