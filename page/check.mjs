// SPDX-License-Identifier: Apache-2.0
// Holds the page's texts and moments against what Python says (vectors.json, see tools/page_vectors.py).
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { runnerImport } from "vite";

const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
const load = async (name) => (await runnerImport(new URL(`src/${name}`, import.meta.url).pathname)).module;
const [units, { findMoment }] = [await load("units.ts"), await load("moments.ts")];
const [{ VarintReader }, { fromFragment, toFragment }] = [await load("document.ts"), await load("state.ts")];
const wrong = [];
let compared = 0;

function compare(what, found, wanted) {
  compared++;
  if (!isDeepStrictEqual(found, wanted)) wrong.push(`${what} gives ${JSON.stringify(found)}, it should be ${JSON.stringify(wanted)}`);
}

for (const [name, cases] of Object.entries(vectors)) {
  if (name === "moments" || name === "varints") continue;
  for (const row of cases) compare(`${name}(${row.slice(0, -1).join(", ")})`, units[name](...row.slice(0, -1)), row.at(-1));
}
for (const [text, wanted] of vectors.moments.texts) compare(`the moment "${text}"`, findMoment(text, vectors.moments), wanted);
const [numbers, packed] = vectors.varints;
const unpacked = new Float64Array(numbers.length);
new VarintReader(Buffer.from(packed, "hex")).addTo(unpacked, 0, numbers.length);
compare("the varints", [...unpacked], numbers);

// Not Python's business: what a fragment says survives, and what cannot be read is as usual.
const link = "a=12&b=57&kind=mmap&value=alloc_objects&by=line&view=table&q=%2Fa%26b%2F&focus=x&sort=cum&hide=0&theme=dark&c=3&flame.order=up";
compare("a fragment that is read and written", toFragment(fromFragment(`#${link}`)), link);
compare("a fragment of nonsense", toFragment(fromFragment("#a=-1&b=x&value=__proto__&by=constructor&theme=red&more=1&hide=1")), "more=1");

console.log(`${compared} texts, moments and numbers compared, ${wrong.length} differ`);
for (const line of wrong) console.error(line);
process.exitCode = wrong.length ? 1 : 0;
