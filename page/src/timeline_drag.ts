// SPDX-License-Identifier: Apache-2.0
// Choosing a range on the timeline with mouse, pen or finger.
//
// Drag: a range. Press near one of its ends: that end moves. A click alone: that moment, without a base.

import type uPlot from "uplot";

export interface Choosing {
  /** Times of the ends as they are now; a base that is not chosen is null. */
  ends(): { a: number | null; b: number };
  /** Index of the moment nearest to a time. */
  nearest(seconds: number): number;
  /** The range; a = -1: no base. */
  choose(a: number, b: number): void;
  /** The hand let go. */
  ended(): void;
}

const NEAR = 7; // pixels: what counts as pressing an end
const MOVED = 4; // pixels: what counts as a drag

/** Listens on the plot's drawing area until the plot goes away; the function that is returned tells whether a button is
 * held down there. */
export function followDrags(plot: uPlot, choosing: Choosing): () => boolean {
  const { over } = plot;
  let anchor: number | null = null;
  let pressedAt = 0;
  let dragging = false;

  const left = (event: PointerEvent) => event.clientX - over.getBoundingClientRect().left;
  const momentAt = (x: number) => choosing.nearest(plot.posToVal(Math.min(Math.max(x, 0), over.clientWidth), "x"));
  const endNear = (x: number): "a" | "b" | null => {
    const { a, b } = choosing.ends();
    if (a !== null && Math.abs(plot.valToPos(a, "x") - x) <= NEAR) return "a";
    return a !== null && Math.abs(plot.valToPos(b, "x") - x) <= NEAR ? "b" : null;
  };

  const letGo = () => {
    anchor = null;
    dragging = false;
    choosing.ended();
  };

  over.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    over.setPointerCapture(event.pointerId);
    pressedAt = left(event);
    const end = endNear(pressedAt);
    const { a, b } = choosing.ends();
    // The other end of the range stays where it is.
    anchor = end === "a" ? choosing.nearest(b) : end === "b" ? choosing.nearest(a!) : momentAt(pressedAt);
    dragging = end !== null;
  });
  over.addEventListener("pointermove", (event) => {
    const x = left(event);
    over.style.cursor = endNear(x) || (dragging && anchor !== null) ? "ew-resize" : "";
    if (anchor === null) return;
    dragging ||= Math.abs(x - pressedAt) >= MOVED;
    const other = momentAt(x);
    if (dragging && other !== anchor) choosing.choose(Math.min(anchor, other), Math.max(anchor, other));
  });
  over.addEventListener("pointerup", (event) => {
    if (anchor !== null && !dragging) choosing.choose(-1, momentAt(left(event)));
    letGo();
  });
  over.addEventListener("pointercancel", letGo);
  return () => anchor !== null;
}
