// SPDX-License-Identifier: Apache-2.0
// Stacked areas over time, by uPlot: axes in binary sizes and in offsets, layers on top of each other.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { size } from "./units";

export interface Layer {
  label: string;
  /** Bytes at each time. */
  bytes: readonly number[];
  colour: string;
}

export interface PlotColours {
  ink: string;
  faint: string;
  line: string;
}

const SECOND_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const MINUTE_STEPS = [1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60);
const HOUR_STEPS = [1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 14, 24 * 28].map((hours) => hours * 3600);
const TIME_STEPS = [...SECOND_STEPS, ...MINUTE_STEPS, ...HOUR_STEPS];
const SIZE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** A tick of the time axis: as few parts as its step needs. */
function tick(seconds: number, step: number): string {
  if (seconds === 0) return "0";
  if (step < 60 && seconds < 60) return `${Number(seconds.toFixed(2))} s`;
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)];
  const two = (value: number) => String(value).padStart(2, "0");
  if (step >= 86400) return `${days} d`;
  if (days >= 2) return `${days} d ${two(hours % 24)} h`;
  if (step < 60) return `${minutes}:${two(Math.floor(seconds % 60))}`;
  return hours || step >= 3600 ? `${hours}:${two(minutes % 60)} h` : `${minutes} min`;
}

/** Layer upon layer: row i is the sum of layers 0 to i. */
export function stacked(layers: readonly Layer[], length: number): number[][] {
  const running = new Array<number>(length).fill(0);
  return layers.map(({ bytes }) => {
    for (let i = 0; i < length; i++) running[i] = running[i]! + Math.max(0, bytes[i] ?? 0);
    return running.slice();
  });
}

/** A plot into `host`, as large as it is. `drawn` is called after every drawing, to draw over it. */
export function stackedPlot(
  host: HTMLElement,
  times: readonly number[],
  layers: readonly Layer[],
  colours: PlotColours,
  hooks: { drawn(plot: uPlot): void; hovered(index: number | null): void },
): uPlot {
  const last = times[times.length - 1] ?? 1;
  const font = "11.5px system-ui, sans-serif";
  const axis = { stroke: colours.faint, font, grid: { stroke: colours.line, width: 1 }, ticks: { stroke: colours.line, width: 1, size: 4 } };
  const options: uPlot.Options = {
    width: Math.max(200, host.clientWidth),
    height: host.clientHeight,
    legend: { show: false },
    padding: [8, 22, 0, 0],
    cursor: { drag: { x: false, y: false, setScale: false }, y: false, points: { show: false } },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: false, range: () => [0, last || 1] },
      y: { range: (_plot, _low, high) => [0, (high || 1) * 1.04] },
    },
    axes: [
      { ...axis, size: 26, gap: 3, incrs: TIME_STEPS, space: 70, values: (_plot, splits, _axis, _space, step) => splits.map((at) => tick(at, step)) },
      { ...axis, incrs: SIZE_STEPS, size: 70, space: 34, values: (_plot, splits) => splits.map((at) => size(at)) },
    ],
    series: [
      {},
      ...layers.map(({ label, colour }) => ({ label, stroke: colour, width: 1, fill: colour, points: { show: false } })),
    ],
    bands: layers.slice(1).map((_layer, i) => ({ series: [i + 2, i + 1] as [number, number] })),
    hooks: {
      draw: [(plot) => hooks.drawn(plot)],
      setCursor: [(plot) => hooks.hovered(plot.cursor.idx ?? null)],
    },
  };
  return new uPlot(options, [times as number[], ...stacked(layers, times.length)], host);
}
