// The pages' sources, for tests of single parts.
import { createServer } from "vite";

/** Imports modules of this folder; `done` ends what translates them. */
export async function sources() {
  const server = await createServer({
    root: new URL("..", import.meta.url).pathname,
    logLevel: "error",
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    appType: "custom",
    optimizeDeps: { noDiscovery: true, include: [] },
  });
  return { load: (path) => server.ssrLoadModule(path), done: () => server.close() };
}
