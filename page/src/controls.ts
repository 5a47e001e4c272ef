// SPDX-License-Identifier: Apache-2.0
// Small controls made of the browser's own, so that keyboards and screen readers know them.

import { el, uniqueId } from "./dom";

/** A choice that was made elsewhere is shown by `set`; `allow` says which options there are to choose. */
export interface Choice<T> {
  element: HTMLElement;
  set(value: T): void;
  allow(possible: (value: T) => boolean): void;
}

/** A few options side by side: radio buttons. */
export function choice<T extends string>(
  label: string,
  options: readonly (readonly [T, string])[],
  chosen: (value: T) => void,
): Choice<T> {
  const name = uniqueId("choice");
  const inputs = new Map<T, HTMLInputElement>();
  const element = el("div", { class: "choice", role: "radiogroup", "aria-label": label });
  for (const [value, text] of options) {
    const input = el("input", { type: "radio", name, value, change: () => chosen(value) });
    inputs.set(value, input);
    element.append(el("label", {}, input, text));
  }
  const set = (value: T) => {
    const input = inputs.get(value);
    if (input && !input.checked) input.checked = true;
  };
  const allow = (possible: (value: T) => boolean) => inputs.forEach((input, value) => (input.disabled = !possible(value)));
  return { element, set, allow };
}

/** A list to choose from, with its label before it. */
export function select<T extends string>(
  label: string,
  options: readonly (readonly [T, string])[],
  chosen: (value: T) => void,
): { element: HTMLElement; set: (value: T) => void } {
  const list = el("select", { change: () => chosen(list.value as T) });
  for (const [value, text] of options) list.append(el("option", { value }, text));
  return { element: el("label", { class: "field" }, el("span", {}, label), list), set: (value) => (list.value = value) };
}

/** A box to tick. */
export function check(label: string, changed: (on: boolean) => void): { element: HTMLElement; set: (on: boolean) => void } {
  const input = el("input", { type: "checkbox", change: () => changed(input.checked) });
  return { element: el("label", { class: "check" }, input, label), set: (on) => (input.checked = on) };
}
