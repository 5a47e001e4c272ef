// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system says, unless the switch says otherwise.

import type { App } from "./app";
import { choice } from "./controls";
import { el } from "./dom";
import type { Tone } from "./palette";
import type { Change, State, Theme } from "./state";
import type { View } from "./views";

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

/** Whether the page is dark now. Canvases must ask again when `theme` changes. */
export function isDark(state: State): boolean {
  const { theme } = state.now;
  return !printing && (theme === "auto" ? systemIsDark.matches : theme === "dark");
}

/** Whether what is drawn now is for paper: all of it, not what can be seen. */
export function isPrinting(): boolean {
  return printing;
}

/** A colour for the present theme. */
export function colour(tone: Tone, state: State): string {
  return isDark(state) ? tone.dark : tone.light;
}

/** Keeps the page's theme in step with the settings, the system and the printer. */
export function followTheme(state: State): void {
  const apply = () => (document.documentElement.dataset["theme"] = state.now.theme);
  const redraw = () => state.tell(new Set(["theme"]));
  state.subscribe((change) => change.has("theme") && apply());
  systemIsDark.addEventListener("change", redraw);
  for (const event of ["beforeprint", "afterprint"]) {
    addEventListener(event, () => {
      printing = event === "beforeprint";
      redraw();
    });
  }
  apply();
}

/** The switch. */
export class ThemeSwitch implements View {
  private set!: (value: Theme) => void;
  private app!: App;

  mount(host: HTMLElement, app: App): void {
    this.app = app;
    const options: [Theme, string][] = [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]];
    const { element, set } = choice("Theme", options, (theme) => app.state.set({ theme }));
    this.set = set;
    host.append(el("div", {}, element));
    this.update();
  }

  update(_change?: Change): void {
    this.set(this.app.state.now.theme);
  }
}
