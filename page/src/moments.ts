// SPDX-License-Identifier: Apache-2.0
// Moments as people type them, by the rules of model/moments.py as far as a page can keep them: no dates.

import type { Moments } from "./document";
import { offset } from "./units";

const UNITS: { readonly [unit: string]: number } = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };
const DAY = 86_400_000;
const DURATION = /^(-?)((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)$/;

export const MOMENT_HELP = "start, peak, end, exit, 90s, -10m, 03:12 or #12";

/** Index of the moment that a text means; null when it means none. */
export function findMoment(text: string, moments: Moments): number | null {
  const word = text.trim();
  const last = moments.number.length - 1;
  const named: { readonly [word: string]: number } = { start: 0, peak: moments.peak, end: moments.end, exit: last };
  if (Object.hasOwn(named, word)) return named[word]!;
  const number = /^#?(\d+)$/.exec(word);
  if (number) return at(moments.number, Number(number[1]));
  const duration = DURATION.exec(word);
  if (duration) {
    let seconds = 0;
    for (const [, amount, unit] of duration[2]!.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) seconds += Number(amount) * UNITS[unit!]!;
    const wanted = duration[1] ? moments.t_s[last]! - seconds : seconds;
    return wanted < 0 ? null : Math.max(0, at(moments.t_s, wanted) ?? 0);
  }
  return atClock(word, moments);
}

/** The last moment at or before a time of day, as clocks last showed it before the recording ended. */
function atClock(word: string, moments: Moments): number | null {
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(word);
  if (!clock) return null;
  // Both are local times of the place where the document was made: read as if they were UTC, their order is right.
  const times = moments.wall.map((wall) => Date.parse(`${wall.replace(" ", "T")}Z`));
  const ended = times[times.length - 1]!;
  const [hours, minutes, seconds] = [Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0)];
  if (hours > 23 || minutes > 59 || seconds > 59) return null;
  let wanted = new Date(ended).setUTCHours(hours, minutes, seconds, 0);
  if (wanted > ended) wanted -= DAY;
  return at(times, wanted);
}

function at(column: number[], wanted: number): number | null {
  const found = column.findLastIndex((value) => value <= wanted);
  return found < 0 ? null : found;
}

/** `#12 03:12:05`. */
export function momentText(moments: Moments, index: number): string {
  return `#${moments.number[index]} ${moments.wall[index] ?? offset(moments.t_s[index] ?? 0)}`;
}
