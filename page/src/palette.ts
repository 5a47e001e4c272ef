// SPDX-License-Identifier: Apache-2.0
// Written by `python -m tools.palette` from src/heaptide/render/palette.py, which says what each colour is for.

export interface Tone {
  readonly light: string;
  readonly dark: string;
}

export const PARTS: Readonly<Record<string, Tone>> = {
  in_use: { light: "#0072b2", dark: "#3d9bdc" },
  rounding: { light: "#8fd0f5", dark: "#8ccbf2" },
  allocator_free: { light: "#e69f00", dark: "#e69f00" },
  mapped: { light: "#009e73", dark: "#1f9e78" },
  stacks: { light: "#d58cb5", dark: "#dc9cc0" },
  code: { light: "#7f8894", dark: "#7f8894" },
  files: { light: "#b3bac4", dark: "#59616c" },
  shared: { light: "#f0e442", dark: "#e8dc4a" },
  heaptide: { light: "#882255", dark: "#b8507f" },
  other: { light: "#d5d9df", dark: "#3c434c" },
};

export const SITES: readonly Tone[] = [
  { light: "#0072b2", dark: "#3d9bdc" },
  { light: "#e69f00", dark: "#e69f00" },
  { light: "#009e73", dark: "#1f9e78" },
  { light: "#d58cb5", dark: "#dc9cc0" },
  { light: "#8fd0f5", dark: "#8ccbf2" },
  { light: "#d55e00", dark: "#ef7d2e" },
  { light: "#f0e442", dark: "#e8dc4a" },
  { light: "#882255", dark: "#b8507f" },
];

export const REST: Tone = { light: "#c9b79c", dark: "#6f6048" };

export const MODULES: readonly Tone[] = [
  { light: "#f2b679", dark: "#8a5a1e" },
  { light: "#8fc3e8", dark: "#22618f" },
  { light: "#8fd0b5", dark: "#1f7358" },
  { light: "#e3b0cf", dark: "#85496d" },
  { light: "#e9df84", dark: "#6f661a" },
  { light: "#c9b8e8", dark: "#5c4a91" },
  { light: "#f0a08a", dark: "#8d4433" },
  { light: "#b9d48a", dark: "#556f2a" },
];

export const RUNTIME: Tone = { light: "#d9dde2", dark: "#3d444d" };

export const WHOLE: Tone = { light: "#eceef1", dark: "#2a3037" };

export const GROWTH: Tone = { light: "#e8602c", dark: "#b8481a" };

export const SHRINKAGE: Tone = { light: "#4a94d6", dark: "#2a6dab" };

export const NO_CHANGE: Tone = { light: "#e3e6ea", dark: "#454c55" };

export const INK: Tone = { light: "#14181d", dark: "#f2f4f7" };

export const FAINT: Tone = { light: "#5b6470", dark: "#a3acb8" };

export const PAPER: Tone = { light: "#ffffff", dark: "#14181d" };

export const LINE: Tone = { light: "#d5d9df", dark: "#3c434c" };

export const ALARM: Tone = { light: "#c2410c", dark: "#ff9a66" };
