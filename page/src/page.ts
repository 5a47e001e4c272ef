// SPDX-License-Identifier: Apache-2.0
// The page of one document: which views it has, in which order, and who is told of changes.

import type { App } from "./app";
import { Command } from "./command";
import { el, uniqueId } from "./dom";
import { Headline } from "./headline";
import { RangeControls, RangeText } from "./range";
import { Suspects } from "./suspects";
import { TAB_LIST_LABEL, TABS } from "./tab_list";
import { Tabs } from "./tabs";
import { ThemeSwitch } from "./theme";
import { Timeline } from "./timeline";
import { Toolbar } from "./toolbar";
import type { View } from "./views";

/** Draws the page of `app` into `host` and keeps it up to date; the function that is returned ends that. */
export function mountPage(host: HTMLElement, app: App): () => void {
  const views: View[] = [];
  const add = (parent: HTMLElement, view: View, tag: "div" | "section" = "div", className = "") => {
    const place = el(tag, { class: className });
    parent.append(place);
    view.mount(place, app);
    views.push(view);
  };
  const main = el("main", { id: uniqueId("main"), tabindex: -1 });
  const top = topBar(app);
  host.replaceChildren(el("a", { class: "skip", href: `#${main.id}`, click: (event: Event) => skipTo(event, main) }, "Skip to the verdict"), top, main);
  add(top, new ThemeSwitch());
  add(main, new Headline());
  const hasTime = app.header.live || app.header.moments.number.length > 1;
  const alone = app.header.view === "flame";
  if (hasTime) add(main, new Timeline(), "section", "part");
  if (hasTime) add(main, new RangeControls());
  if (!alone) add(main, new Suspects(), "section", "part");
  const bar = el("div", { class: "bar" });
  main.append(bar);
  add(bar, new RangeText());
  add(bar, new Toolbar());
  const tabs = new Tabs(alone ? TABS.filter(({ id }) => id === "flame") : TABS, TAB_LIST_LABEL);
  add(main, tabs, "section");
  add(main, new Command());
  const end = app.state.subscribe((change) => views.forEach((view) => view.update(change)));
  const endPrinting = unfoldForPrint(main, tabs);
  return () => [end, endPrinting].forEach((stop) => stop());
}

function topBar(app: App): HTMLElement {
  const title = el("div", { class: "title" }, el("span", { class: "brand" }, "heaptide"), ` ${app.header.title}`);
  return el("header", { class: "top" }, title);
}

/** The fragment holds the view; following a link would lose it. */
function skipTo(event: Event, main: HTMLElement): void {
  event.preventDefault();
  main.focus();
}

/** On paper every tab and every suspect is shown. */
function unfoldForPrint(main: HTMLElement, tabs: Tabs): () => void {
  let fold: (() => void) | null = null;
  const before = () => {
    fold ??= tabs.unfold();
    for (const details of main.querySelectorAll<HTMLDetailsElement>("details.unfolds")) details.open = true;
  };
  const after = () => {
    fold?.();
    fold = null;
  };
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  return () => {
    removeEventListener("beforeprint", before);
    removeEventListener("afterprint", after);
  };
}
