import { readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

export default defineConfig({
  define: { __VERSION__: JSON.stringify(version) },
  test: {
    include: ["test/*.test.ts"],
    globalSetup: "test/setup.ts",
    testTimeout: 20000,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      // The players of web pages are tested where they run: web/test.
      exclude: ["src/web/**"],
      reporter: ["text", "lcovonly"],
      thresholds: { branches: 90, functions: 90, lines: 90, statements: 90 },
    },
  },
});
