import { readFileSync } from "node:fs";
import { defineConfig } from "vite";
import { licences } from "./licences.js";

const here = (path: string): string => new URL(path, import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(here("../sdk/package.json"), "utf8"));

const { collect, write } = licences();

export default defineConfig({
  plugins: [collect, write],
  // The pages are at /call/, /play/APP/STREAM and, on the admin listener, /; everything they load is below /web/.
  base: "/web/",
  // The SDK's sources want it; its own build sets it, too.
  define: { __VERSION__: JSON.stringify(version) },
  resolve: {
    alias: [
      { find: /^liverelay-sdk$/, replacement: here("../sdk/src/index.ts") },
      { find: /^liverelay-sdk\/web\/stamp$/, replacement: here("../sdk/src/web/stamp.ts") },
      // All that the AAC encoder needs of it.
      { find: /^mediabunny$/, replacement: here("src/call/publish/mediabunny.ts") },
      { find: /^liverelay-sdk\/web$/, replacement: here("../sdk/src/web/index.ts") },
    ],
    // Sources outside this folder use this folder's packages.
    dedupe: ["preact"],
  },
  build: {
    outDir: "dist/pages",
    target: "es2022",
    modulePreload: { polyfill: false },
    // A data: address would need a hole in the Content-Security-Policy.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { call: here("call/index.html"), console: here("console/index.html"), play: here("play/index.html") },
    },
  },
  worker: {
    format: "es",
    plugins: () => [collect],
    // The name tells web.go that the file is a worker, with a Content-Security-Policy of its own.
    rolldownOptions: { output: { entryFileNames: "assets/worker-[name]-[hash].js" } },
  },
});
