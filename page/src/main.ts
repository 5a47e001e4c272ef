// SPDX-License-Identifier: Apache-2.0
// Where the page starts: the document is in it, or a server has it.

import { App } from "./app";
import { embeddedDocument } from "./document";
import { el } from "./dom";
import { mountPage } from "./page";
import { startServed } from "./serve";
import { isServed } from "./serve_api";
import { State, tieToAddress } from "./state";

async function start(host: HTMLElement): Promise<void> {
  const state = new State();
  tieToAddress(state);
  if (isServed()) return startServed(host, state);
  const found = await embeddedDocument();
  if (found) mountPage(host, new App(found, state));
}

const host = document.getElementById("heaptide-app")!;
start(host).catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  host.replaceChildren(el("p", { role: "alert" }, `The page could not be drawn: ${text}. What stands above is complete.`));
});
