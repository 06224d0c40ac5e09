// A real browser without a window, and the web site whose page it opens.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Debian's name, and that of others. */
export const chromium = ["chromium", "chromium-browser"].find((name) => {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
});

/** What a page said. */
interface Report {
  name: string;
  detail: any;
}

/** Serves the page and the built SDK, and takes the page's reports. */
export class Site {
  readonly reports: Report[] = [];
  private read = 0;
  private readonly server: Server;

  private constructor() {
    const files: Record<string, [type: string, body: Buffer]> = {
      "/": ["text/html", readFileSync(join(__dirname, "browser.html"))],
      "/index.mjs": ["text/javascript", readFileSync(join(__dirname, "../../dist/index.mjs"))],
    };
    this.server = createServer((request, response) => {
      const file = files[request.url!.replace(/\?.*/, "")];
      if (file) return response.setHeader("Content-Type", file[0]).end(file[1]);
      const body: Buffer[] = [];
      request.on("data", (d: Buffer) => body.push(d));
      request.on("end", () => {
        const known = request.method === "POST" && request.url === "/report";
        if (known) this.reports.push(JSON.parse(Buffer.concat(body).toString()) as Report);
        response.writeHead(known ? 204 : 404).end();
      });
    });
  }

  static async start(): Promise<Site> {
    const site = new Site();
    await new Promise<void>((r) => site.server.listen(0, "127.0.0.1", r));
    return site;
  }

  origin(host = "127.0.0.1"): string {
    return `http://${host}:${(this.server.address() as AddressInfo).port}`;
  }

  /**
   * The next report of a name, passing over others; a mistake of the page that nobody asked for
   * ends the wait.
   */
  async next(name: string, seconds = 20): Promise<any> {
    for (let t = 0; t < seconds * 20; t++) {
      while (this.read < this.reports.length) {
        const report = this.reports[this.read++]!;
        if (report.name === name) return report.detail;
        if (report.name === "mistake") throw new Error(`the page: ${JSON.stringify(report.detail)}`);
      }
      await new Promise((r) => setTimeout(r, 50));
    }
    throw new Error(`${name}: not within ${seconds} s`);
  }

  async stop(): Promise<void> {
    const gone = new Promise((r) => this.server.close(r));
    this.server.closeAllConnections();
    await gone;
  }
}

export class Browser {
  readonly log: string[] = [];
  private readonly dir = mkdtempSync(join(tmpdir(), "liverelay-chromium-"));
  private readonly child: ChildProcess;
  private readonly gone: Promise<unknown>;

  constructor(url: string) {
    const flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-proxy-server --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-breakpad";
    this.child = spawn(chromium!, [...flags.split(" "), `--user-data-dir=${this.dir}`, url], {
      stdio: ["ignore", "pipe", "pipe"],
      // Nothing of it outlives the test.
      env: { ...process.env, HOME: this.dir, XDG_CONFIG_HOME: this.dir, XDG_CACHE_HOME: this.dir },
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) stream.on("data", (d: Buffer) => this.log.push(d.toString()));
    this.gone = new Promise((r) => this.child.once("close", r));
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    const hard = setTimeout(() => this.child.kill("SIGKILL"), 10000);
    await this.gone;
    clearTimeout(hard);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
