// SPDX-License-Identifier: Apache-2.0
// The tabs of the page, in their order. A new view is one import and one entry here.

import { Flame } from "./flame";
import { SOURCE_TAB } from "./serve_source";
import type { Tab } from "./views";

export const TAB_LIST_LABEL = "Ways to look at it";

export const TABS: readonly Tab[] = [
  { id: "flame", label: "Flame graph", create: () => new Flame() },
  SOURCE_TAB,
];
