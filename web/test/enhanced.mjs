// A publisher of what ffmpeg's FLV does not have: the browser encodes, Enhanced RTMP v2 names it.

/**
 * In the browser: publishes a moving picture of a codec, and a tone as Opus. Returns why it cannot;
 * "" when it goes on for as long as the page is there.
 */
export async function publishNew({ url, picture }) {
  const [width, height, rate] = [320, 180, 30];
  const format = { codec: picture, width, height, framerate: rate, bitrate: 300_000, latencyMode: "realtime" };
  const sound = { codec: "opus", sampleRate: 48000, numberOfChannels: 2, bitrate: 64_000 };
  if (!(await VideoEncoder.isConfigSupported(format)).supported) return `no encoder for ${picture}`;
  if (!(await AudioEncoder.isConfigSupported(sound)).supported) return "no encoder for Opus";

  const socket = new WebSocket(url);
  await new Promise((r, failed) => ((socket.onopen = r), (socket.onclose = failed)));
  const tag = (type, dts, ...parts) => {
    const length = parts.reduce((sum, p) => sum + p.length, 0);
    const out = new Uint8Array(length + 15);
    const view = new DataView(out.buffer);
    view.setUint32(0, (type << 24) | length);
    view.setUint32(4, (dts << 8) | (dts >>> 24));
    let at = 11;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    view.setUint32(length + 11, length + 11);
    socket.send(out);
  };
  const letters = (text) => [...text].map((c) => c.charCodeAt(0));
  const bytes = (chunk) => {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    return data;
  };
  // VPCodecConfigurationRecord with the head of its box (VP9 in ISOBMFF, 2.2);
  // AV1CodecConfigurationRecord (AV1 in ISOBMFF, 2.3.3): profile 0, level 3.0, 4:2:0.
  const [fourcc, record] = picture.startsWith("vp09") ? ["vp09", [1, 0, 0, 0, 0, 10, 0x82, 1, 1, 1, 0, 0]] : ["av01", [0x81, 0x04, 0x0c, 0x00]];
  socket.send(Uint8Array.of(0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0));
  tag(9, 0, [0x90, ...letters(fourcc), ...record]);
  // OpusHead, RFC 7845 5.1.
  tag(8, 0, [0x90, ...letters("OpusOpusHead"), 1, 2, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]);

  const pictures = new VideoEncoder({
    output: (chunk) => tag(9, Math.round(chunk.timestamp / 1000), [chunk.type === "key" ? 0x91 : 0xa1, ...letters(fourcc)], bytes(chunk)),
    error: (error) => console.error(String(error)),
  });
  pictures.configure(format);
  const pieces = new AudioEncoder({
    output: (chunk) => tag(8, Math.round(chunk.timestamp / 1000), [0x91, ...letters("Opus")], bytes(chunk)),
    error: (error) => console.error(String(error)),
  });
  pieces.configure(sound);

  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const begin = performance.now();
  let [frames, samples] = [0, 0];
  setInterval(() => {
    const now = performance.now() - begin;
    for (; (frames * 1000) / rate <= now; frames++) {
      context.fillStyle = `hsl(${frames * 7} 80% 50%)`;
      context.fillRect(0, 0, width, height);
      context.fillStyle = "#fff";
      context.fillRect((frames * 5) % width, 60, 40, 60);
      const frame = new VideoFrame(canvas, { timestamp: (frames * 1e6) / rate });
      if (pictures.encodeQueueSize < 4) pictures.encode(frame, { keyFrame: frames % rate === 0 });
      frame.close();
    }
    for (; (samples * 1000) / 48000 <= now; samples += 960) {
      const data = new Float32Array(2 * 960);
      for (let i = 0; i < 960; i++) data[i] = data[960 + i] = 0.3 * Math.sin((2 * Math.PI * 440 * (samples + i)) / 48000);
      const piece = new AudioData({ format: "f32-planar", sampleRate: 48000, numberOfFrames: 960, numberOfChannels: 2, timestamp: (samples * 1e6) / 48000, data });
      pieces.encode(piece);
      piece.close();
    }
  }, 15);
  return "";
}
