// Builds once before the tests: two of them test what is published.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export default function setup(): void {
  execFileSync("node", [join(__dirname, "../script/build.mjs")], { stdio: "inherit" });
}
