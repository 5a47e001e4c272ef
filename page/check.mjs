// SPDX-License-Identifier: Apache-2.0
// Holds the page's numbers and moments against what Python says (vectors.json, see tools/page_vectors.py).
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { runnerImport } from "vite";

const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
const load = async (name) => (await runnerImport(new URL(`src/${name}`, import.meta.url).pathname)).module;
const [units, { findMoment }] = [await load("units.ts"), await load("moments.ts")];
const wrong = [];
let compared = 0;

function compare(what, found, wanted) {
  compared++;
  if (!isDeepStrictEqual(found, wanted)) wrong.push(`${what} gives ${JSON.stringify(found)}, Python has ${JSON.stringify(wanted)}`);
}

for (const [name, cases] of Object.entries(vectors)) {
  if (name === "moments") continue;
  for (const row of cases) compare(`${name}(${row.slice(0, -1).join(", ")})`, units[name](...row.slice(0, -1)), row.at(-1));
}
for (const [text, wanted] of vectors.moments.texts) compare(`the moment "${text}"`, findMoment(text, vectors.moments), wanted);

console.log(`${compared} texts and moments compared with Python's, ${wrong.length} differ`);
for (const line of wrong) console.error(line);
process.exitCode = wrong.length ? 1 : 0;
