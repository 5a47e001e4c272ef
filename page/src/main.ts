// SPDX-License-Identifier: Apache-2.0
// Where the page starts: the document is in it, or a server has it.

import { App } from "./app";
import { embeddedDocument } from "./document";
import { el } from "./dom";
import { mountPage } from "./page";
import { startServed } from "./serve";
import { isServed } from "./serve_api";
import { fromFragment, State, tieToAddress } from "./state";
import { followTheme } from "./theme";
import "./style/base.css";
import "./style/words.css";
import "./style/page.css";
import "./style/timeline.css";
import "./style/suspects.css";
import "./style/views.css";
import "./style/print.css";

async function start(host: HTMLElement): Promise<void> {
  const state = new State();
  tieToAddress(state);
  followTheme(state);
  if (isServed()) return startServed(host, state);
  const found = await embeddedDocument();
  if (!found) return;
  // What `flame -o FILE.html` was asked to show; a link says it better.
  if (!location.hash) state.set(fromFragment(found.header.start));
  mountPage(host, new App(found, state));
  foldWords(host);
}

/** What Python wrote stays, below the page: the whole report as text, for reading, searching and copying. */
function foldWords(page: HTMLElement): void {
  const words = document.getElementById("heaptide-words");
  if (!words?.firstElementChild) return words?.remove();
  // The page has a headline of its own, and a document has one h1.
  for (const heading of words.querySelectorAll("h1")) heading.replaceWith(el("p", {}, heading.textContent));
  // Tables that scroll sideways are to be reached by keys.
  for (const table of words.querySelectorAll("table")) table.tabIndex = 0;
  const folded = el("details", {}, el("summary", {}, "The report as text"), words);
  page.append(el("footer", { class: "as-text" }, folded));
}

const host = document.getElementById("heaptide-app")!;
start(host).catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  host.replaceChildren(el("p", { role: "alert" }, `The page could not be drawn: ${text}. What stands above is complete.`));
});
