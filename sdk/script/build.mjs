// Builds dist/ (CommonJS, ES module, types) and miniprogram_dist/ (what the
// WeChat tools' "build npm" takes as is: the SDK and the ready components).
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";
import { generateDtsBundle } from "dts-bundle-generator";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const folder of ["dist", "miniprogram_dist"]) {
  rmSync(join(root, folder), { recursive: true, force: true });
  mkdirSync(join(root, folder));
}

const common = {
  entryPoints: [join(root, "src/index.ts")],
  bundle: true,
  charset: "utf8",
  minify: true,
  define: { __VERSION__: JSON.stringify(version) },
  // Base libraries run on old phones' engines.
  target: "es2015",
  platform: "neutral",
};
await build({ ...common, format: "cjs", outfile: join(root, "dist/index.cjs") });
await build({ ...common, format: "esm", outfile: join(root, "dist/index.mjs") });
await build({ ...common, format: "cjs", outfile: join(root, "miniprogram_dist/index.js") });
// For web pages alone: their engines are newer.
await build({
  ...common,
  entryPoints: [join(root, "src/web/index.ts")],
  target: "es2020",
  format: "esm",
  outfile: join(root, "dist/web.mjs"),
});
cpSync(join(root, "src/web/worklet.js"), join(root, "dist/worklet.js"));
cpSync(join(root, "miniprogram"), join(root, "miniprogram_dist"), { recursive: true });
// The components' scripts for the same phones, as readable as they are.
for (const name of readdirSync(join(root, "miniprogram_dist"), { recursive: true })) {
  const path = join(root, "miniprogram_dist", name);
  if (!name.endsWith(".js") || name === "index.js") continue;
  writeFileSync(path, (await transform(readFileSync(path, "utf8"), { target: common.target, charset: "utf8" })).code);
}

const [types, webTypes] = generateDtsBundle(
  ["src/index.ts", "src/web/index.ts"].map((path) => ({ filePath: join(root, path), output: { noBanner: true, exportReferencedTypes: false } })),
  { preferredConfigPath: join(root, "tsconfig.json") },
);
writeFileSync(join(root, "dist/web.d.mts"), webTypes);
// The same types twice: a .d.ts describes CommonJS, and an importer of the ES module needs a
// .d.mts.
for (const name of ["index.d.ts", "index.d.mts"]) writeFileSync(join(root, "dist", name), types);
