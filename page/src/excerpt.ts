// SPDX-License-Identifier: Apache-2.0
// A few lines of source with one of them marked.

import { el } from "./dom";
import type { Excerpt } from "./document";

const AROUND = 3;

/** The lines around `line`; the marked one also says so in words, for those who do not see it. */
export function excerptLines(excerpt: Excerpt, line: number): HTMLElement {
  const from = Math.max(excerpt.first_line, line - AROUND);
  const box = el("pre", { class: "excerpt", tabindex: 0, role: "region", "aria-label": `${excerpt.file}, line ${line}` });
  excerpt.lines.slice(from - excerpt.first_line, line + AROUND + 1 - excerpt.first_line).forEach((text, i) => {
    const marked = from + i === line;
    const number = el("span", { class: "line-number" }, String(from + i));
    box.append(el("span", { class: marked ? "row marked" : "row" }, number, text || " "));
  });
  return box;
}
