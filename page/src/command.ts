// SPDX-License-Identifier: Apache-2.0
// The command that prints the same numbers: what is found here can be repeated, scripted and sent on.

import type { App } from "./app";
import { el, setText } from "./dom";
import type { Change } from "./state";
import type { View } from "./views";

/** A word as a POSIX shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `heaptide top CAPTURE --base '#12' --at '#57'` for what is being looked at. */
export function commandLine(app: App): string {
  const { value, by, hide, sort } = app.state.now;
  const { a, b } = app.range;
  const { number, end } = app.header.moments;
  const words = ["heaptide", "top", app.header.capture];
  if (a >= 0) words.push("--base", `#${number[a]}`);
  if (b !== end) words.push("--at", `#${number[b]}`);
  if (value !== "inuse_space") words.push("--value", value);
  if (by !== "function") words.push("--by", by);
  if (sort.endsWith("cum")) words.push("--cum");
  if (!hide) words.push("--all-frames");
  if (app.dataset.info.kind === "mmap") words.push("--mmap");
  return words.map(quoted).join(" ");
}

export class Command implements View {
  private app!: App;
  private readonly code = el("code", { tabindex: 0, role: "region", "aria-label": "Command" });
  private readonly said = el("span", { role: "status" });

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    host.classList.add("command");
    const copy = el("button", { type: "button", click: () => void this.copy() }, "Copy");
    host.append(el("span", {}, "The same in a terminal"), this.code, copy, this.said);
    this.update();
  }

  update(_change?: Change): void {
    setText(this.code, commandLine(this.app));
    setText(this.said, "");
  }

  private async copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.code.textContent ?? "");
      setText(this.said, "copied");
    } catch {
      // A page from disk may not write to the clipboard: select the text, so that a key copies it.
      getSelection()?.selectAllChildren(this.code);
      setText(this.said, "selected: copy with Ctrl+C");
    }
  }
}
