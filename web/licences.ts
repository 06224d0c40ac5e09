// Writes what the built pages hold of others, with their licences: dist/pages/licences.txt, at /web/licences.txt.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** What a package's own files do not say. */
const more: Record<string, string> = {
  "@mediabunny/aac-encoder": `Its WebAssembly is libavcodec and libavutil of FFmpeg (libavcodec 62.23.103), with nothing but the AAC encoder and without
the parts under the GPL: GNU Lesser General Public License, version 2.1 or later, https://www.gnu.org/licenses/old-licenses/lgpl-2.1.txt
Source: https://ffmpeg.org/download.html and, for how it is put together, https://github.com/Vanilagy/mediabunny (packages/aac-encoder).
It is a file of its own (worker-…js), which can be replaced by one that was built with another version of the library.`,
};

/** Two plugins: one for each bundle, workers' too, and one for the bundle that is written last. */
export function licences(): { collect: Plugin; write: Plugin } {
  const packages = new Set<string>();
  const collect: Plugin = {
    name: "licences-collect",
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        for (const id of file.type === "chunk" ? Object.keys(file.modules) : []) {
          const folder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replace(/^\0/, ""))?.[0];
          if (folder) packages.add(folder);
        }
      }
    },
  };
  const write: Plugin = {
    name: "licences-write",
    enforce: "post",
    generateBundle() {
      const parts = [...packages].sort().map(describe);
      this.emitFile({ type: "asset", fileName: "licences.txt", source: ["What the pages of liverelay hold of others. liverelay itself is under the MIT licence.", ...parts].join(`\n\n${"=".repeat(72)}\n\n`) });
    },
  };
  return { collect, write };
}

function describe(folder: string): string {
  const { name, version, license, homepage, repository } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string & { url?: string }>;
  const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f) && existsSync(join(folder, f)));
  const where = homepage ?? repository?.url ?? repository ?? "";
  return [`${name} ${version}, ${license}, ${where}`, more[name!], file && readFileSync(join(folder, file), "utf8").trim()].filter(Boolean).join("\n\n");
}
