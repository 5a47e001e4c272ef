// SPDX-License-Identifier: Apache-2.0
// The tabs of the page, in their order. A new view is one import and one entry here.

import { CallGraph } from "./callgraph";
import { Flame } from "./flame";
import { LedgerView } from "./ledger";
import { SOURCE_TAB } from "./serve_source";
import { Sizes } from "./sizes";
import { SurvivorsView } from "./survivors";
import { Table } from "./table";
import type { Tab } from "./views";

export const TAB_LIST_LABEL = "Ways to look at it";

export const TABS: readonly Tab[] = [
  { id: "flame", label: "Flame graph", create: () => new Flame() },
  { id: "table", label: "Table", create: () => new Table() },
  { id: "graph", label: "Call graph", slow: true, create: () => new CallGraph() },
  { id: "survivors", label: "Survivors by birth", available: (app) => app.header.survivors !== null, create: () => new SurvivorsView() },
  { id: "sizes", label: "Sizes", create: () => new Sizes() },
  { id: "ledger", label: "Ledger", available: (app) => Boolean(app.header.ledger), create: () => new LedgerView() },
  SOURCE_TAB,
];
