#!/bin/sh
# FFmpeg 8.1's RTMP client (libavformat of npm node-av 6.1.1): it understands enhanced RTMP (HEVC, AV1, Opus, several tracks) and
# says nothing of it.
#
# E-RTMP v2 lets a client announce in `connect` what it takes: fourCcList, videoFourCcInfoMap, audioFourCcInfoMap, capsEx
# (multitrack is bit 2 there). FFmpeg demuxes all of these forms, so one would expect that it announces them. By default its
# connect carries none of these properties: a server that believes the announcement sends it one track in legacy form. More
# has to be asked for otherwise, by the address.
#
# Seen: "connect: app,flashVer,tcUrl,fpad,capabilities,audioCodecs,videoCodecs,videoFunction". Fails when fourCcList,
# capsEx or a FourCC map is among them.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --no-audit --no-fund --loglevel=error --ignore-scripts node-av@6.1.1 @seydx/node-av-linux-x64@6.1.1 >/dev/null 2>&1
cat >run.mjs <<'JS'
import { createServer } from "node:net";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

if (process.argv[2]) {
  const { Demuxer } = await import("node-av");
  await Demuxer.open(process.argv[2]).catch(() => undefined); // the server below hangs up
  process.exit(0);
}
const server = createServer((socket) => {
  let all = Buffer.alloc(0), shaken = 0;
  socket.on("error", () => undefined);
  socket.on("data", (data) => {
    all = Buffer.concat([all, data]);
    if (shaken === 0 && all.length >= 1537) { // S0 S1 S2 (RTMP 1.0 §5.2)
      socket.write(Buffer.concat([Buffer.from([3]), Buffer.alloc(1536), all.subarray(1, 1537)]));
      shaken = 1;
    }
    if (shaken !== 1 || all.length < 1537 + 1536 + 12) return;
    setTimeout(() => {
      // Chunks of 128 bytes: the one-byte headers between them go, then the names of the command object are read.
      const body = all.subarray(1537 + 1536), start = body.indexOf("\u0002\u0000\u0007connect", 0, "latin1");
      if (start < 0) return;
      const parts = [];
      for (let at = start; at < body.length; at += 129) parts.push(body.subarray(at, at + 128));
      const command = Buffer.concat(parts), names = [];
      let at = 10 + 9 + 1; // string "connect", number, object marker
      while (at + 2 < command.length) {
        const n = command.readUInt16BE(at);
        if (n === 0) break;
        names.push(command.toString("latin1", at + 2, at + 2 + n));
        at += 2 + n;
        const kind = command[at++];
        if (kind === 0) at += 8;
        else if (kind === 1) at += 1;
        else if (kind === 2) at += 2 + command.readUInt16BE(at);
        else break;
      }
      console.log(`connect: ${names}`);
      socket.destroy();
      process.exit(names.length > 3 && !names.some((name) => /fourCc|capsEx/i.test(name)) ? 0 : 1);
    }, 300);
  });
});
server.listen(0, "127.0.0.1", () => fork(fileURLToPath(import.meta.url), [`rtmp://127.0.0.1:${server.address().port}/live/x`], { stdio: "ignore" }));
setTimeout(() => (console.log("no connect within 20 s"), process.exit(1)), 20000);
JS
node run.mjs
