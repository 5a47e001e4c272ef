// SPDX-License-Identifier: Apache-2.0
// One HTML file that needs nothing else: scripts and styles inlined, Graphviz at its end as text that nothing runs.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

/** Graphviz as an inert script element: it costs no time until the call graph asks for it.
 *
 * The module holds its WebAssembly compressed (zstd, base91). Packing it once more as base64 would make it larger
 * (842 kB instead of 815 kB), so it stands as it is. */
function graphviz(): Plugin {
  return {
    name: "heaptide-graphviz",
    transformIndexHtml: {
      order: "post",
      handler(html) {
        const url = import.meta.resolve("@hpcc-js/wasm-graphviz");
        const text = readFileSync(fileURLToPath(url), "utf8").replace(/^\/\/# sourceMappingURL.*$/m, "").trim();
        if (/<\/script|<!--|[^\n\t\x20-\x7e]/i.test(text)) throw new Error("graphviz: text that HTML would not keep");
        const script = `<script type="text/plain" id="heaptide-graphviz">${text}</script>`;
        return html.replace("</body>", () => `${script}\n</body>`);
      },
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [viteSingleFile(), graphviz()],
  build: {
    outDir: "../build/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
