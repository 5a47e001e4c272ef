// SPDX-License-Identifier: Apache-2.0
// Making elements. Text goes in as text, always: nothing here or anywhere in the page parses HTML.

type Child = Node | string | null | false;
type Props = { readonly [name: string]: string | number | boolean | null | ((event: never) => void) };

/** An element. Functions become event listeners, `true` an empty attribute; null and false are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children);
}

/** As `el`, of SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill<E extends Element>(element: E, props: Props, children: Child[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null && child !== false) element.append(child);
  return element;
}

let made = 0;

/** An id that nothing else on the page has. */
export function uniqueId(stem: string): string {
  return `${stem}-${++made}`;
}

/** Sets text only where it is different, so that a live region speaks only of changes. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Puts new contents in the place of old ones; what the reader had unfolded stays so. */
export function renew(host: Element, ...children: Child[]): void {
  const isOpen = [...host.querySelectorAll("details")].map((details) => details.open);
  host.replaceChildren(...children.filter((child) => child !== null && child !== false));
  host.querySelectorAll("details").forEach((details, i) => (details.open = isOpen[i] ?? false));
}

/** Runs `work` before the next frame, once, however often it is asked for until then. */
export function perFrame(work: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
