// SPDX-License-Identifier: Apache-2.0
// The seam between the page and what draws in it.

import type { App } from "./app";
import type { Change } from "./state";

/** Something that draws a part of the page. It computes nothing: numbers come from `sums`, texts from `units`. */
export interface View {
  /** Called once, when the view is first shown. The host is empty. */
  mount(host: HTMLElement, app: App): void;
  /** Called when settings changed, or the document, while the view is shown; once with everything when it is shown
   * again after it missed something. */
  update(change: Change): void;
}

/** A view that has a tab of its own. */
export interface Tab {
  /** Its name in the fragment: `view=table`. */
  readonly id: string;
  readonly label: string;
  /** Says whether there is anything to show; left out, there always is. */
  available?(app: App): boolean;
  /** It is drawn in the background and takes a while: it goes on paper only when it was looked at before. */
  readonly slow?: boolean;
  create(): View;
}
