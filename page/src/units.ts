// SPDX-License-Identifier: Apache-2.0
// Numbers as text, word for word as render/units.py writes them; a test compares the two.

export type Unit = "bytes" | "objects";

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** A number with so many digits behind the point; a tie goes to the even digit, as in Python. (`toFixed` rounds it up.) */
export function fixed(value: number, digits: number): string {
  const magnitude = Math.abs(value);
  const sign = value < 0 ? "-" : "";
  // A double is a tie exactly when it is an odd multiple of 2^-(digits + 1).
  if (Math.abs((magnitude * 2 ** (digits + 1)) % 2) !== 1) return sign + magnitude.toFixed(digits);
  const below = Math.floor(magnitude * 10 ** digits);
  return sign + ((below % 2 === 0 ? below : below + 1) / 10 ** digits).toFixed(digits);
}

function threeDigits(value: number): string {
  if (value < 9.995) return fixed(value, 2);
  return value < 99.95 ? fixed(value, 1) : fixed(value, 0);
}

/** Bytes for a person: `512 B`, `36.6 MiB`; `+36.6 MiB` when signed. What rounds to nothing has no sign. */
export function size(value: number, signed = false): string {
  let rest = Math.abs(value);
  let step = 0;
  for (; rest >= 1023.5 && step < BINARY.length - 1; step++) rest /= 1024;
  const text = step === 0 ? fixed(rest, 0) : threeDigits(rest);
  const sign = text === "0" ? "" : value < 0 ? "-" : signed ? "+" : "";
  return `${sign}${text} ${BINARY[step]}`;
}

function grouped(text: string): string {
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A number of things: `400,012`. */
export function count(value: number, signed = false): string {
  const text = grouped(fixed(value, 0));
  if (text === "-0") return "0";
  return signed && value > 0 && text !== "0" ? `+${text}` : text;
}

export function quantity(value: number, unit: Unit, signed = false): string {
  return unit === "bytes" ? size(value, signed) : count(value, signed);
}

/** A share with its sign: `94.4 %`; `-` where there is no whole to share. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "-";
  const share = (100 * part) / Math.abs(whole);
  if (Math.abs(share) >= 99.95) return `${fixed(share, 0)} %`;
  if (Math.abs(share) >= 0.05) return `${fixed(share, 1)} %`;
  return share === 0 ? "0 %" : "<0.1 %";
}

/** By how much something grew: `x1.84`; `new`, `gone`. */
export function times(before: number, now: number): string {
  if (before === now) return now ? "x1.00" : "";
  if (before <= 0 || now <= 0) return now > 0 ? "new" : before > 0 ? "gone" : "";
  const factor = now / before;
  return `x${factor < 99.5 ? fixed(factor, 2) : grouped(fixed(factor, 0))}`;
}

const two = (value: number) => String(value).padStart(2, "0");
const whole = (value: number) => Number(fixed(value, 0));

/** A length of time: `80 ms`, `12.3 s`, `4 min 10 s`, `2 h 05 min`, `3 d 04 h`. */
export function duration(seconds: number): string {
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds < 0.9995) return `${fixed(seconds * 1e3, 0)} ms`;
  if (seconds < 59.95) return `${fixed(seconds, 1)} s`;
  const rounded = whole(seconds);
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${two(rounded % 60)} s`;
  const minutes = whole(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = whole(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** A moment as its offset from the start: `+00:12.3`, `+03:12:05`. */
export function offset(seconds: number): string {
  const sign = seconds < 0 ? "-" : "+";
  const tenths = whole(Math.abs(seconds) * 10);
  const minutes = Math.floor(tenths / 600);
  const rest = tenths % 600;
  if (minutes < 60) return `${sign}${two(minutes)}:${two(Math.floor(rest / 10))}.${rest % 10}`;
  return `${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(Math.floor(rest / 10))}`;
}
