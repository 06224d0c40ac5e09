// WHEP and WHIP as a browser speaks them: its own RTCPeerConnection, and fetch.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { after, afterEach, before, describe, test } from "node:test";
import { missing, openBrowser, Publisher, Relay, until, visit } from "./helper.mjs";

const reason = missing();

/** A network in front of the relay's media port that loses a part of the media; for one browser. */
class Lossy {
  lost = 0;

  static async open(port, loss) {
    const net = new Lossy();
    net.socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
    await new Promise((r) => net.socket.bind(0, "127.0.0.1", r));
    net.port = net.socket.address().port;
    // Each address that the browser tries has a way of its own behind the network.
    net.ways = new Map();
    net.socket.on("message", (b, from) => {
      const key = `${from.address}:${from.port}`;
      if (!net.ways.has(key)) {
        const way = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
        way.on("message", (b) => {
          const media = b[0] >= 128 && b[0] < 192 && (b[1] < 192 || b[1] > 223);
          if (media && Math.random() < loss) net.lost++;
          else net.socket.send(b, from.port, from.address);
        });
        net.ways.set(key, way);
      }
      net.ways.get(key).send(b, port, "127.0.0.1");
    });
    return net;
  }

  close() {
    for (const one of [this.socket, ...this.ways.values()]) one.close();
  }
}

describe("WebRTC", { skip: reason || false, timeout: 600_000 }, () => {
  let relay;
  let browser;
  const publishers = [];

  before(async () => {
    relay = await Relay.start(["relay: {resume_window: 3s}"]);
    browser = await openBrowser(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"]);
  });
  afterEach(async () => {
    for (const p of publishers.splice(0)) await p.stop("SIGKILL");
    for (const context of browser.contexts()) await context.close();
  });
  after(async () => {
    await browser?.close();
    await relay?.stop();
  });

  /** A page of the relay's own, in which window.offer(pc, path, token) begins a session. */
  const open = async () => {
    const page = await visit(browser, relay.origin);
    await page.evaluate(() => {
      window.offer = async (pc, path, token) => {
        await pc.setLocalDescription(await pc.createOffer());
        const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` }, body: pc.localDescription.sdp });
        const text = await reply.text();
        // A network in between is where the answer says that the port is.
        const sdp = window.through ? text.replace(/a=candidate:.* tcp .*\r\n/g, "").replace(/(a=candidate:.* udp .* )\d+ typ host/g, `$1${window.through} typ host`) : text;
        if (reply.status === 201) await pc.setRemoteDescription({ type: "answer", sdp });
        return { status: reply.status, text, location: reply.headers.get("Location"), link: reply.headers.get("Link") };
      };
      window.report = async (pc) => {
        const all = {};
        for (const r of (await pc.getStats()).values()) {
          if (r.type === "inbound-rtp") all[r.kind] = r;
          if (r.type === "transport") all.transport = r;
        }
        // The frame that is shown, in the stream's own time, and the longest that one stood.
        all.rtp = pc.getReceivers().find((r) => r.track.kind === "video")?.getSynchronizationSources()[0]?.rtpTimestamp;
        all.stood = window.stood;
        window.stood = 0;
        return all;
      };
    });
    return page;
  };

  const play = (page, stream) =>
    page.evaluate(
      async ([path, token]) => {
        const pc = (window.pc = new RTCPeerConnection());
        const video = (window.video = document.createElement("video"));
        document.body.append(video);
        video.autoplay = true;
        video.srcObject = new MediaStream();
        let shown;
        const look = (now) => {
          window.stood = Math.max(window.stood ?? 0, now - (shown ?? now));
          shown = now;
          video.requestVideoFrameCallback(look);
        };
        video.requestVideoFrameCallback(look);
        pc.ontrack = (e) => video.srcObject.addTrack(e.track);
        pc.addTransceiver("video", { direction: "recvonly" });
        pc.addTransceiver("audio", { direction: "recvonly" });
        return window.offer(pc, path, token);
      },
      [`/live/${stream}/whep`, relay.token(stream)],
    );

  /**
   * Five seconds in which the browser decoded that part of the frames that the stream had in its own
   * time, 30 a second, and none stood for longer than stood (ms): a busy machine may have had worse
   * before.
   */
  const decodes = (page, part, stood = Infinity) =>
    until(
      `five seconds with ${part} of the frames`,
      async () => {
        const before = await page.evaluate(() => window.report(window.pc));
        await new Promise((r) => setTimeout(r, 5000));
        const after = await page.evaluate(() => window.report(window.pc));
        const due = ((after.rtp - before.rtp) >>> 0) / 3000;
        const decoded = after.video.framesDecoded - before.video.framesDecoded;
        // What is decoded and what is shown are not looked at in the same moment: a frame more or less.
        if (due > 100 && decoded + 1 >= part * due && after.stood <= stood) return { ...after, due, decoded };
        throw new Error(JSON.stringify({ due, decoded, stood: after.stood, ...after.video }));
      },
      120,
    );

  test("WHEP: every frame of a publisher by RTMP is decoded, and its sound is heard", async () => {
    publishers.push(new Publisher(relay, "plain"));
    const page = await open();
    await until("the stream", async () => (await play(page, "plain")).status === 201);
    const seen = await decodes(page, 0.98);
    assert.equal(seen.video.packetsLost, 0, JSON.stringify(seen.video));
    assert.ok(seen.audio.totalAudioEnergy > 0, JSON.stringify(seen.audio));
    assert.match(seen.transport.srtpCipher, /AEAD_AES_128_GCM/);
    const player = (await (await relay.admin("GET", "players?stream=plain")).json()).players[0];
    assert.equal(player.protocol, "whep");
    await relay.admin("DELETE", `players/${player.id}`);
    await until("the page knows of the kick", () => page.evaluate(() => window.pc.getReceivers()[0].transport.state === "closed"));
  });

  test("WHEP: with one packet in fifty lost, hardly a frame is", async (t) => {
    const network = await Lossy.open(Number(relay.log.match(/door=webrtc\.listen address=127\.0\.0\.1:(\d+)/)[1]), 0.02);
    try {
      publishers.push(new Publisher(relay, "lossy", { size: "640x360" }));
      const page = await open();
      await page.evaluate((port) => (window.through = port), network.port);
      await until("the stream", async () => (await play(page, "lossy")).status === 201);
      const { video, due, decoded, stood } = await decodes(page, 0.95, 500);
      const figures = { due, now: decoded, stood, lost: network.lost, decoded: video.framesDecoded, received: video.framesReceived, dropped: video.framesDropped, asked: video.nackCount, again: video.retransmittedPacketsReceived, pictures: video.pliCount, frozen: video.totalFreezesDuration };
      t.diagnostic(JSON.stringify(figures));
      assert.ok(network.lost > 10 && video.nackCount > 0, JSON.stringify(figures));
    } finally {
      network.close();
    }
  });

  test("WHEP: a page whose viewer is kicked stays away until he asks, and its delay is known", async () => {
    publishers.push(new Publisher(relay, "kick"));
    const page = await visit(browser, relay.page("kick", "&way=webrtc&stats"));
    await page.waitForSelector(".badge.live", { timeout: 60_000 });
    const player = await until("the page's own word of its delay", async () => {
      const [one] = (await (await relay.admin("GET", "players?stream=kick")).json()).players;
      return one?.delay_ms !== undefined && one;
    });
    assert.equal(player.protocol, "whep");
    assert.equal(player.delay_since, "ingest");
    await relay.admin("DELETE", `players/${player.id}`);
    await page.getByText(/operator ended/).first().waitFor({ timeout: 60_000 });
    assert.equal((await (await relay.admin("GET", "players?stream=kick")).json()).players.length, 0);
    await page.click("text=Try again");
    await page.waitForSelector(".badge.live", { timeout: 60_000 });
  });

  test("WHEP: a stream with B-frames is refused, with the address where it plays", async () => {
    publishers.push(new Publisher(relay, "bframes", { extra: ["-tune", "film", "-bf", "2"] }));
    const page = await open();
    const refused = await until("a refusal", async () => {
      const r = await play(page, "bframes");
      return r.status === 422 && r;
    });
    assert.match(refused.text, /B-frames/);
    assert.match(refused.link, /<\/live\/bframes\.flv.*>; rel="alternate"/);
  });

  test("WHIP: a camera and a microphone become H.264 and AAC for RTMP", async () => {
    const page = await open();
    const reply = await page.evaluate(
      async ([path, token]) => {
        const media = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360, frameRate: 30 }, audio: true });
        const pc = (window.pc = new RTCPeerConnection());
        for (const track of media.getTracks()) pc.addTransceiver(track, { direction: "sendonly" });
        return window.offer(pc, path, token);
      },
      ["/live/camera/whip", relay.token("camera", "publish")],
    );
    assert.equal(reply.status, 201, reply.text);
    const stream = await until("the stream", async () => {
      const r = await relay.admin("GET", "streams/live/camera");
      const s = r.status === 200 && (await r.json());
      return s && s.video.width === 640 && s.audio.codec && s;
    });
    assert.equal(stream.publisher.protocol, "whip");
    assert.equal(stream.audio.codec, "Opus");
    const player = spawn("ffmpeg", ["-nostdin", "-v", "info", "-xerror", "-i", `rtmp://127.0.0.1:${relay.rtmp}/live/camera?token=${relay.token("camera")}`, "-t", "6", "-f", "null", "-"]);
    let log = "";
    player.stderr.on("data", (d) => (log += d));
    const code = await new Promise((r) => player.once("exit", r));
    assert.equal(code, 0, log.slice(-2000));
    assert.match(log, /Video: h264/);
    assert.match(log, /Audio: aac/);
    const ended = await page.evaluate(async (location) => (await fetch(location, { method: "DELETE" })).status, reply.location);
    assert.equal(ended, 200);
    await until("the end", async () => (await relay.admin("GET", "streams/live/camera")).status === 404);
  });
});
