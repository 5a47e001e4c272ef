// SPDX-License-Identifier: Apache-2.0
// Moves a picture about in its frame and makes it larger or smaller: by mouse, by wheel, by keys.

const STEP = 60;
const FACTOR = 1.25;
const CLOSEST = 8;
/** At this scale the smallest letters can be read. */
const LEGIBLE = 1.1;

/** Ties a picture to its frame. The frame has the focus; it is handed keys that are not for moving. */
export class Pan {
  private scale = 1;
  private x = 0;
  private y = 0;
  private fitted = 1;
  private size = { width: 1, height: 1 };
  private dragged = false;

  constructor(
    private readonly frame: HTMLElement,
    private readonly picture: SVGSVGElement,
  ) {
    const [, , width, height] = (picture.getAttribute("viewBox") ?? "").split(/\s+/).map(Number);
    this.size = { width: width || 1, height: height || 1 };
    picture.style.transformOrigin = "0 0";
    picture.style.width = `${this.size.width}px`;
    picture.style.height = `${this.size.height}px`;
    this.fit();
  }

  /** Shows all of it, but small pictures not larger than they are. */
  fit(): void {
    const { clientWidth, clientHeight } = this.frame;
    this.fitted = this.scale = Math.min(1.2, clientWidth / this.size.width, clientHeight / this.size.height) || 1;
    this.x = (clientWidth - this.size.width * this.scale) / 2;
    this.y = (clientHeight - this.size.height * this.scale) / 2;
    this.place();
  }

  /** Listens until the signal is raised. */
  listen(signal: AbortSignal): void {
    this.frame.addEventListener("wheel", (event) => this.onWheel(event), { passive: false, signal });
    this.frame.addEventListener("pointerdown", (event) => this.onDown(event), { signal });
    // A drag is no click on what happens to be under the pointer when it ends.
    const swallow = (event: Event) => {
      if (this.dragged) event.stopPropagation();
    };
    this.frame.addEventListener("click", swallow, { capture: true, signal });
  }

  /** Moves by a key; says whether it was one for that. */
  key(key: string): boolean {
    if (key === "ArrowLeft") this.move(STEP, 0);
    else if (key === "ArrowRight") this.move(-STEP, 0);
    else if (key === "ArrowUp") this.move(0, STEP);
    else if (key === "ArrowDown") this.move(0, -STEP);
    else if (key === "+" || key === "=") this.zoom(FACTOR);
    else if (key === "-") this.zoom(1 / FACTOR);
    else if (key === "0" || key === "Escape") this.fit();
    else return false;
    return true;
  }

  /** Larger by a factor, around a point of the frame; around its middle without one. */
  zoom(factor: number, point = { x: this.frame.clientWidth / 2, y: this.frame.clientHeight / 2 }): void {
    const scale = Math.min(CLOSEST, Math.max(this.fitted / 2, this.scale * factor));
    this.x = point.x - ((point.x - this.x) * scale) / this.scale;
    this.y = point.y - ((point.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.place();
  }

  /** Brings a part of the picture to the middle of the frame, large enough to be read. */
  center(part: SVGGraphicsElement): void {
    this.scale = Math.max(this.scale, LEGIBLE);
    this.place();
    const [inside, frame] = [part.getBoundingClientRect(), this.frame.getBoundingClientRect()];
    this.move(
      frame.left + frame.width / 2 - (inside.left + inside.width / 2),
      frame.top + frame.height / 2 - (inside.top + inside.height / 2),
    );
  }

  private move(x: number, y: number): void {
    this.x += x;
    this.y += y;
    this.place();
  }

  private place(): void {
    this.picture.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }

  private onWheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    const frame = this.frame.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - frame.left, y: event.clientY - frame.top });
    event.preventDefault();
  }

  private onDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.dragged = false;
    const start = { x: event.clientX - this.x, y: event.clientY - this.y };
    const end = new AbortController();
    const move = (moved: PointerEvent) => {
      const [x, y] = [moved.clientX - start.x, moved.clientY - start.y];
      this.dragged ||= Math.hypot(x - this.x, y - this.y) > 4;
      if (!this.dragged) return;
      this.frame.setPointerCapture(event.pointerId);
      [this.x, this.y] = [x, y];
      this.place();
    };
    this.frame.addEventListener("pointermove", move, { signal: end.signal });
    for (const last of ["pointerup", "pointercancel"] as const) {
      this.frame.addEventListener(last, () => end.abort(), { signal: end.signal });
    }
  }
}
