// SPDX-License-Identifier: Apache-2.0
// A list to choose from whose entries come and go.

import { el } from "./dom";

/** Sets the options (value, text) only where they differ: an open list must not close at every news. */
export function fillOptions(select: HTMLSelectElement, options: readonly (readonly [string, string])[], value: string): void {
  const now = [...select.options].map((option) => `${option.value} ${option.text}`).join("\n");
  if (now !== options.map(([id, text]) => `${id} ${text}`).join("\n"))
    select.replaceChildren(...options.map(([id, text]) => el("option", { value: id }, text)));
  if (select.value !== value) select.value = value;
}
