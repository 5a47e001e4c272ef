// SPDX-License-Identifier: Apache-2.0
// Graphviz, which lies in the page as text until somebody asks for a call graph, and what is let out of it.

interface Graphviz {
  dot(source: string): string;
}
interface Module {
  Graphviz: { load(): Promise<Graphviz> };
}

let loading: Promise<Graphviz> | null = null;

/** Graphviz itself. Raises an error whose text can be shown. */
export function graphviz(): Promise<Graphviz> {
  return (loading ??= load());
}

async function load(): Promise<Graphviz> {
  const text = document.getElementById("heaptide-graphviz")?.textContent;
  if (!text) throw new Error("this page was made without Graphviz");
  // The policy of the page lets scripts come from blobs and WebAssembly be compiled, and nothing from elsewhere.
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    const module = (await import(/* @vite-ignore */ url)) as Module;
    return await module.Graphviz.load();
  } finally {
    URL.revokeObjectURL(url);
  }
}

const ELEMENTS = new Set(["svg", "g", "path", "polygon", "polyline", "ellipse", "text", "title"]);
const ATTRIBUTES = new Set([
  ...["id", "class", "viewBox", "transform", "d", "points", "cx", "cy", "rx", "ry", "x", "y"],
  ...["text-anchor", "font-size", "stroke-width", "stroke-dasharray"],
]);

/** The picture as elements of this page: shapes and text alone, whatever else stood in it. */
export function pictureOf(markup: string): SVGSVGElement {
  const parsed = new DOMParser().parseFromString(markup, "image/svg+xml");
  const root = parsed.documentElement;
  if (root.localName !== "svg" || parsed.querySelector("parsererror")) throw new Error("Graphviz made no picture");
  const picture = document.importNode(root, true) as unknown as SVGSVGElement;
  for (const element of [picture, ...picture.querySelectorAll("*")]) {
    if (element.namespaceURI !== "http://www.w3.org/2000/svg" || !ELEMENTS.has(element.localName)) {
      element.remove();
      continue;
    }
    for (const { name } of [...element.attributes]) if (!ATTRIBUTES.has(name)) element.removeAttribute(name);
  }
  return picture;
}
