// SPDX-License-Identifier: Apache-2.0
// The canvas of a flame graph: what part of it is looked at, how pointer and wheel move that, and when it is drawn.

import { el, perFrame } from "./dom";
import { hit, type Hit, type Window } from "./flame_layout";
import { Painter, ROW, rowTop, type Scene } from "./flame_paint";
import { isPrinting } from "./theme";

/** What happens to the canvas; points are in CSS pixels of the browser's window. */
export interface Listener {
  /** The pointer is over something else; null: over nothing. */
  hover(over: Hit | null, point: { x: number; y: number }): void;
  click(node: number): void;
  menu(node: number, point: { x: number; y: number }): void;
}

/** Milliseconds that a zoom takes. */
const ZOOM_TIME = 180;
/** Pixels that the pointer may move in a click. */
const STILL = 4;
/** Pixels across on paper, whatever the screen is: letters keep a legible size. */
const PAPER_WIDTH = 900;
/** A box of less than so many pixels is not seen when the keyboard comes to it, and is then made so many wide. */
const NARROW = 2;
const CLOSER = 60;
/** How far in one can go: the whole may be so many times as wide as the window. */
const DEEPEST = 1e9;

export class FlameCanvas {
  /** Scrolls the rows; the canvas in it is as large as what is seen. */
  readonly element: HTMLElement;
  private readonly canvas = el("canvas", { "aria-hidden": "true" });
  private readonly spacer = el("div", { class: "flame-rows" }, this.canvas);
  private readonly painter: Painter;
  private readonly context: CanvasRenderingContext2D;
  private scene: Scene | null = null;
  private left = 0;
  private right = 1;
  private over: Hit | null = null;
  private focused = -1;
  private animation = 0;
  /** Draws before the next frame. */
  readonly redraw = perFrame(() => this.draw());

  constructor(
    private readonly listener: Listener,
    private readonly isDark: () => boolean,
  ) {
    this.element = el("div", { class: "flame-scroll" }, this.spacer);
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser draws no canvas");
    this.context = context;
    this.painter = new Painter(context, "system-ui, sans-serif");
    this.listen();
  }

  /** Shows a scene; the window stays where it is in it, as far as there is something. On paper every row is drawn. */
  show(scene: Scene): void {
    const turned = this.scene?.flame !== scene.flame;
    this.scene = scene;
    this.over = null;
    this.spacer.style.height = `${scene.layout.rows * ROW}px`;
    if (turned) this.element.scrollTop = scene.flame ? scene.layout.rows * ROW : 0;
    this.element.classList.toggle("flame-whole", isPrinting());
    this.look(this.left, this.right);
  }

  /** Marks the node that the keyboard stands on; -1 for none. */
  mark(node: number): void {
    this.focused = node;
    this.redraw();
  }

  /** Looks at a node and what it calls. */
  zoomTo(node: number, animated: boolean): void {
    const { layout } = this.scene!;
    const left = layout.x[node]!;
    this.moveTo(left, left + layout.width[node]!, animated);
  }

  /** Looks closer by a factor, keeping what is in the middle of the window there. */
  zoomBy(factor: number): void {
    this.zoomAt(factor, (this.left + this.right) / 2);
    this.redraw();
  }

  /** Moves rows, and the window where it must, so that a node can be seen; a very narrow one is looked at closer. */
  reveal(node: number): void {
    const { layout, tree, flame } = this.scene!;
    const top = rowTop(tree.depth[node]!, layout.rows, flame);
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.element.scrollTop = top + ROW - clientHeight;
    const [left, right] = [layout.x[node]!, layout.x[node]! + layout.width[node]!];
    const pixels = this.window.pixels;
    let room = this.right - this.left;
    const narrow = (right - left) * pixels < NARROW * room;
    if (narrow) room = ((right - left) * pixels) / CLOSER;
    if (narrow || right <= this.left || left >= this.right) {
      cancelAnimationFrame(this.animation);
      this.look((left + right - room) / 2, (left + right + room) / 2);
    }
  }

  /** Where a node is drawn, in CSS pixels of the browser's window. */
  pointOf(node: number): { x: number; y: number } {
    const { layout, tree, flame } = this.scene!;
    const frame = this.canvas.getBoundingClientRect();
    const middle = Math.max(this.left, layout.x[node]!);
    const x = ((middle - this.left) / (this.right - this.left)) * frame.width;
    return { x: frame.left + x + 8, y: frame.top + rowTop(tree.depth[node]! + 1, layout.rows, flame) - this.element.scrollTop };
  }

  /** Pixels across. */
  private get width(): number {
    const { clientWidth } = this.element;
    return isPrinting() ? Math.min(clientWidth, PAPER_WIDTH) : clientWidth;
  }

  private get window(): Window {
    const { layout, flame } = this.scene!;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.floor(scrollTop / ROW);
    const last = Math.ceil((scrollTop + clientHeight) / ROW);
    const [topRow, bottomRow] = flame ? [layout.rows - 1 - last, layout.rows - 1 - first] : [first, last];
    return { left: this.left, right: this.right, pixels: Math.max(1, this.width), topRow, bottomRow };
  }

  private draw(): void {
    const { scene, canvas, element } = this;
    const [width, height] = [this.width, element.clientHeight];
    if (!scene || !width || !height) return;
    // Paper has more dots than a screen.
    const ratio = isPrinting() ? 2 : Math.max(1, devicePixelRatio);
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== across || canvas.height !== down) {
      [canvas.width, canvas.height] = [across, down];
      [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
      this.painter.newRuler();
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.painter.paint(scene, {
      window: this.window,
      width,
      height,
      scroll: element.scrollTop,
      dark: this.isDark(),
      focus: this.focused,
      hover: this.over && this.over.count === 1 ? this.over.node : -1,
    });
  }

  /** Sets the window, kept within the graph. */
  private look(left: number, right: number): void {
    const whole = this.scene!.layout.width[0]! || 1;
    const room = Math.min(whole, Math.max(right - left, whole / DEEPEST));
    this.left = Math.min(Math.max(0, left), whole - room);
    this.right = this.left + room;
    if (isPrinting()) this.draw(); // there is no next frame
    else this.redraw();
  }

  private moveTo(left: number, right: number, animated: boolean): void {
    cancelAnimationFrame(this.animation);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!animated || still) return this.look(left, right);
    const [fromLeft, fromRight, start] = [this.left, this.right, performance.now()];
    const step = (now: number) => {
      const part = Math.min(1, Math.max(0, now - start) / ZOOM_TIME);
      const eased = 1 - (1 - part) ** 3;
      this.look(fromLeft + (left - fromLeft) * eased, fromRight + (right - fromRight) * eased);
      this.draw();
      if (part < 1) this.animation = requestAnimationFrame(step);
    };
    this.animation = requestAnimationFrame(step);
  }

  private zoomAt(factor: number, x: number): void {
    cancelAnimationFrame(this.animation);
    const room = (this.right - this.left) / factor;
    const left = x - ((x - this.left) / (this.right - this.left)) * room;
    this.look(left, left + room);
  }

  private listen(): void {
    new ResizeObserver(this.redraw).observe(this.element);
    const scrolled = () => {
      this.hoverOver(null, { x: 0, y: 0 });
      this.redraw();
    };
    this.element.addEventListener("scroll", scrolled, { passive: true });
    this.element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.canvas.addEventListener("pointermove", (event) => this.onMove(event));
    this.canvas.addEventListener("pointerleave", () => this.hoverOver(null, { x: 0, y: 0 }));
    this.canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    this.canvas.addEventListener("contextmenu", (event) => {
      const found = this.at(event);
      if (found && found.count === 1) this.listener.menu(found.node, { x: event.clientX, y: event.clientY });
      event.preventDefault();
    });
  }

  /** What is under the pointer. */
  private at(event: MouseEvent): Hit | null {
    const { scene, window } = this;
    if (!scene) return null;
    const frame = this.canvas.getBoundingClientRect();
    const x = this.left + ((event.clientX - frame.left) / window.pixels) * (this.right - this.left);
    const line = Math.floor((event.clientY - frame.top + this.element.scrollTop) / ROW);
    return hit(scene.layout, window, x, scene.flame ? scene.layout.rows - 1 - line : line);
  }

  private onMove(event: PointerEvent): void {
    if (event.buttons === 0) this.hoverOver(this.at(event), { x: event.clientX, y: event.clientY });
  }

  private hoverOver(over: Hit | null, point: { x: number; y: number }): void {
    if (over?.node !== this.over?.node || over?.count !== this.over?.count) this.redraw();
    this.over = over;
    this.listener.hover(over, point);
  }

  /** A click, or a drag that moves the window and the rows. */
  private onDown(event: PointerEvent): void {
    if (event.button !== 0 || !this.scene) return;
    const start = { x: event.clientX, y: event.clientY, left: this.left, right: this.right, scroll: this.element.scrollTop };
    let dragged = false;
    const move = (moved: PointerEvent) => {
      const [across, down] = [moved.clientX - start.x, moved.clientY - start.y];
      dragged ||= Math.hypot(across, down) > STILL;
      if (!dragged) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.hoverOver(null, start);
      const shift = (across / this.window.pixels) * (start.right - start.left);
      cancelAnimationFrame(this.animation);
      this.look(start.left - shift, start.right - shift);
      this.element.scrollTop = start.scroll - down;
    };
    const end = new AbortController();
    this.canvas.addEventListener("pointermove", move, { signal: end.signal });
    this.canvas.addEventListener("pointercancel", () => end.abort(), { signal: end.signal });
    const up = (released: PointerEvent) => {
      end.abort();
      const found = dragged ? null : this.at(released);
      if (found && found.count === 1) this.listener.click(found.node);
    };
    this.canvas.addEventListener("pointerup", up, { signal: end.signal });
  }

  /** With Ctrl (or pinched) closer or further; sideways moves. A plain wheel scrolls, as everywhere. */
  private onWheel(event: WheelEvent): void {
    if (!this.scene) return;
    const { pixels } = this.window;
    const room = this.right - this.left;
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      const x = this.left + ((event.clientX - this.canvas.getBoundingClientRect().left) / pixels) * room;
      this.zoomAt(Math.exp(-event.deltaY / 200), x);
    } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
      this.look(this.left + (sideways / pixels) * room, this.right + (sideways / pixels) * room);
    } else return;
    event.preventDefault();
  }
}
