// A real relay on free ports of this machine.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { token04 } from "../../examples/backend-token/server.mjs";

export const binary = process.env.LIVERELAY_BIN || resolve(__dirname, "../../../bin/liverelay");

/** Why the tests cannot run here; "" when they can. */
export function missing(): string {
  if (!existsSync(binary)) return `no relay at ${binary}: make build, or set LIVERELAY_BIN`;
  try {
    execFileSync("ffmpeg", ["-version"], { stdio: "ignore" });
  } catch {
    return "no ffmpeg";
  }
  return "";
}

const secret = "e2e-secret-of-thirty-two-charact";

/** So many ports that nobody uses: held at the same time, else one may come twice. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((r) => server.listen(0, "127.0.0.1", r));
    ports.push((server.address() as { port: number }).port);
  }
  for (const server of servers) await new Promise((r) => server.close(r));
  return ports;
}

export class Relay {
  readonly log: string[] = [];
  private child!: ChildProcess;
  private constructor(readonly rtmp: number, readonly http: number, private readonly admin: number, private readonly dir: string) {}

  /** Web pages of these origins may use it; of every origin when left out. */
  static async start(origins: string[] = ["*"]): Promise<Relay> {
    const [rtmp, http, admin] = (await freePorts(3)) as [number, number, number];
    const dir = mkdtempSync(join(tmpdir(), "liverelay-e2e-"));
    writeFileSync(
      join(dir, "config.yaml"),
      [
        "node: {advertise: 127.0.0.1}",
        `apps:\n  - {name: live, id: 1, secret: "${secret}", origins: ${JSON.stringify(origins)}}`,
        `rtmp: {listen: "127.0.0.1:${rtmp}"}`,
        `http: {listen: "127.0.0.1:${http}"}`,
        `admin: {listen: "127.0.0.1:${admin}"}`,
      ].join("\n"),
    );
    const relay = new Relay(rtmp, http, admin, dir);
    await relay.run();
    return relay;
  }

  /** Starts the process, the first time or again. */
  async run(): Promise<void> {
    // Every LIVERELAY_… is a key of the configuration to it.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LIVERELAY_")));
    const child = (this.child = spawn(binary, ["serve", "--config", join(this.dir, "config.yaml")], { stdio: ["ignore", "pipe", "pipe"], env }));
    for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (d: Buffer) => this.log.push(d.toString()));
    for (let i = 0; i < 300; i++) {
      if (child.exitCode !== null) throw new Error(`the relay ended: ${this.log.join("")}`);
      if (await fetch(`http://127.0.0.1:${this.admin}/readyz`).then((r) => r.ok, () => false)) return;
      await new Promise((r) => setTimeout(r, 100));
    }
    throw new Error(`the relay is not ready: ${this.log.join("")}`);
  }

  /**
   * Ends the process, as an operator does (SIGTERM) or an accident (SIGKILL); resolves when it has
   * ended.
   */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const gone = new Promise((r) => this.child.once("exit", r));
    this.child.kill(signal);
    const hard = setTimeout(() => this.child.kill("SIGKILL"), 30000);
    await gone;
    clearTimeout(hard);
  }

  get address(): string {
    return `ws://127.0.0.1:${this.http}`;
  }

  token(user: string, room: string, seconds = 3600, payload = JSON.stringify({ room_id: room, privilege: { 1: 1, 2: 1 }, stream_id_list: null })): string {
    return token04(1, user, secret, seconds, payload);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.end("SIGTERM");
    rmSync(this.dir, { recursive: true, force: true });
  }
}
