// SPDX-License-Identifier: Apache-2.0
// The menu of a box: by the right button, or by the menu key.

import { el } from "./dom";

export interface Action {
  readonly label: string;
  /** The key that does the same in the graph. */
  readonly key: string;
  run(): void;
}

export class FlameMenu {
  readonly element = el("div", { role: "menu", class: "flame-menu", "aria-label": "What to do with the box", hidden: true });
  private back: HTMLElement | null = null;

  constructor() {
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(event.relatedTarget as Node | null)) this.close(false);
    });
  }

  /** Opens at a point; the focus goes back to `owner` afterwards. */
  open(actions: readonly Action[], point: { x: number; y: number }, owner: HTMLElement): void {
    this.back = owner;
    const items = actions.map((action) => {
      const item = el("button", { type: "button", role: "menuitem", tabindex: -1 }, action.label, el("kbd", {}, action.key));
      item.addEventListener("click", () => {
        this.close(true);
        action.run();
      });
      return item;
    });
    this.element.replaceChildren(...items);
    this.element.hidden = false;
    const { offsetWidth, offsetHeight } = this.element;
    this.element.style.left = `${Math.max(8, Math.min(point.x, innerWidth - offsetWidth - 8))}px`;
    this.element.style.top = `${Math.max(8, Math.min(point.y, innerHeight - offsetHeight - 8))}px`;
    items[0]?.focus();
  }

  private close(focusBack: boolean): void {
    if (this.element.hidden) return;
    this.element.hidden = true;
    if (focusBack) this.back?.focus();
  }

  private onKey(event: KeyboardEvent): void {
    const items = [...this.element.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[(to + items.length) % items.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") this.close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
