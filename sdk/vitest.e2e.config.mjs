// End to end: real relay, real ffmpeg. `npm run test:e2e`; it says why when it cannot run.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/e2e/*.test.ts"],
    globalSetup: "test/setup.ts",
    testTimeout: 200000,
    hookTimeout: 60000,
    maxConcurrency: 8,
    reporters: "verbose",
  },
});
