// SPDX-License-Identifier: Apache-2.0
// Names in boxes: made shorter where there is little room, and cut where there is less.

/** Knows how wide letters are in one font; each letter is measured once, a text is a sum. */
export class Ruler {
  private readonly ascii = new Float32Array(128).fill(-1);
  private readonly others = new Map<string, number>();
  private readonly ellipsis: number;

  constructor(private readonly context: CanvasRenderingContext2D) {
    this.ellipsis = context.measureText("…").width;
  }

  /** The text as far as it fits into so many pixels, with an ellipsis where it was cut; "" when nothing fits. */
  fit(text: string, room: number): string {
    let width = 0;
    let cut = 0;
    let at = 0;
    while (at < text.length) {
      const letter = text.codePointAt(at)! > 0xffff ? 2 : 1;
      width += this.width(text, at, letter);
      if (width > room) return cut > 0 ? `${text.slice(0, cut)}…` : "";
      at += letter;
      if (width + this.ellipsis <= room) cut = at;
    }
    return text;
  }

  /** How wide a text is; stops counting at `limit`. */
  measure(text: string, limit = Infinity): number {
    let width = 0;
    for (let at = 0; at < text.length && width <= limit; ) {
      const letter = text.codePointAt(at)! > 0xffff ? 2 : 1;
      width += this.width(text, at, letter);
      at += letter;
    }
    return width;
  }

  private width(text: string, at: number, letter: number): number {
    const code = text.charCodeAt(at);
    if (code < 128) {
      if (this.ascii[code]! < 0) this.ascii[code] = this.context.measureText(text[at]!).width;
      return this.ascii[code]!;
    }
    const key = text.slice(at, at + letter);
    let width = this.others.get(key);
    if (width === undefined) {
      width = this.context.measureText(key).width;
      this.others.set(key, width);
    }
    return width;
  }
}

/**
 * A C++ name without its arguments: `std::map<int, Foo>::find(int const&)` becomes `std::map<…>::find`.
 * Names that are no C++ stay as they are.
 */
export function shortName(name: string): string {
  if (!/[<(]/.test(name)) return name;
  let short = "";
  let depth = 0;
  for (let at = 0; at < name.length; at++) {
    const letter = name[at]!;
    const opens = letter === "<" || letter === "(";
    const whole = depth === 0 && opens ? kept(name, at) : "";
    if (whole) {
      short += whole;
      at += whole.length - 1;
    } else if (opens) {
      if (depth++ === 0 && letter === "<") short += "<…>";
    } else if (letter === ">" || letter === ")") {
      const arrow = letter === ">" && name[at - 1] === "-"; // of operator->
      if (depth === 0 && letter === ">") short += letter;
      else if (!arrow) depth = Math.max(0, depth - 1);
    } else if (depth === 0) short += letter;
  }
  return short.trim().replace(/ const$/, "") || name;
}

/** What tells a short name from its neighbours: `std::map<…>::find` becomes `find`, `libc.so.6+0x1234` `+0x1234`. */
export function lastName(short: string): string {
  const offset = /\+0x[0-9a-f]+$/.exec(short);
  if (offset) return offset[0];
  const at = short.lastIndexOf("::");
  return at < 0 ? short : short.slice(at + 2) || short;
}

const ANONYMOUS = "(anonymous namespace)";

/** What begins with a bracket and is no argument: the signs of `operator<`, `operator()`, `<lambda…>` and its like, a
 * namespace without a name. */
function kept(name: string, at: number): string {
  if (name.startsWith(ANONYMOUS, at)) return ANONYMOUS;
  if (name[at] === "<" && (at === 0 || name[at - 1] === ":")) return "<";
  if (!name.slice(0, at).endsWith("operator")) return "";
  return /^(?:\(\)|<=>|<<=?|<=?)/.exec(name.slice(at))?.[0] ?? "";
}

/** What a search looks for; null when the text is no valid pattern. */
export type Matcher = (name: string) => boolean;

/**
 * A text is found anywhere in a name, in either case; `/…/` is a regular expression. "" matches nothing.
 * Returns null for an expression that cannot be read.
 */
export function matcher(query: string): Matcher | null {
  const text = query.trim();
  if (!text) return () => false;
  const expression = /^\/(.+)\/$/.exec(text);
  if (!expression) {
    const wanted = text.toLowerCase();
    return (name) => name.toLowerCase().includes(wanted);
  }
  try {
    const pattern = new RegExp(expression[1]!, "i");
    return (name) => pattern.test(name);
  } catch {
    return null;
  }
}
