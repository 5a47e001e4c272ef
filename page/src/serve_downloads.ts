// SPDX-License-Identifier: Apache-2.0
// What is shown, as a file in any format that `heaptide convert` writes.

import type { App } from "./app";
import { el, setText } from "./dom";
import { captureOf, download, formats, wantedOf } from "./serve_api";

export class Downloads {
  private readonly list = el("div", { class: "serve-formats" });
  private readonly said = el("p", { role: "status", class: "faint" });
  readonly element = el(
    "details",
    { class: "serve-download" },
    el("summary", {}, "Download"),
    el("div", { class: "serve-menu" }, this.list, this.said),
  );
  private filled = false;

  /** `app` gives what is shown. */
  constructor(private readonly app: () => App | null) {
    this.element.addEventListener("toggle", () => void this.fill());
    document.addEventListener("click", (event) => {
      if (!this.element.contains(event.target as Node)) this.element.open = false;
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.element.open) return;
      this.element.open = false;
      this.element.querySelector("summary")!.focus();
    });
  }

  private async fill(): Promise<void> {
    if (this.filled || !this.element.open) return;
    this.filled = true;
    try {
      for (const { name, label } of await formats())
        this.list.append(el("button", { type: "button", click: () => void this.fetch(name) }, label));
    } catch (error) {
      this.filled = false;
      setText(this.said, String(error));
    }
  }

  private async fetch(form: string): Promise<void> {
    const app = this.app();
    if (!app) return setText(this.said, "Nothing is shown yet.");
    setText(this.said, "Being made ...");
    try {
      const { name, data, note } = await download(captureOf(app), form, wantedOf(app));
      const link = el("a", { href: URL.createObjectURL(data), download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      setText(this.said, note ? `${name}; ${note}` : name);
    } catch (error) {
      setText(this.said, error instanceof Error ? error.message : String(error));
    }
  }
}
