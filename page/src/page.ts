// SPDX-License-Identifier: Apache-2.0
// The page of one document: which views it has, in which order, and who is told of changes.

import type { App } from "./app";
import { el } from "./dom";
import { Headline } from "./headline";
import { TAB_LIST_LABEL, TABS } from "./tab_list";
import { Tabs } from "./tabs";
import type { View } from "./views";

/** Draws the page of `app` into `host` and keeps it up to date; the function that is returned ends that. */
export function mountPage(host: HTMLElement, app: App): () => void {
  const views: View[] = [];
  const add = (parent: HTMLElement, view: View, props: Record<string, string> = {}) => {
    const place = el("div", props);
    parent.append(place);
    view.mount(place, app);
    views.push(view);
  };
  host.replaceChildren();
  add(host, new Headline());
  add(host, new Tabs(TABS, TAB_LIST_LABEL));
  return app.state.subscribe((change) => views.forEach((view) => view.update(change)));
}
