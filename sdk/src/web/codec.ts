// From the sequence headers of a stream to what WebCodecs and MediaSource want to know.

/** The configuration of a video decoder, or an Error that says what is wrong with the header. */
export function videoConfig(codec: string, header: Uint8Array): VideoDecoderConfig {
  const config: VideoDecoderConfig = { codec: videoName(codec, header), optimizeForLatency: true };
  // VP9's is in its frames.
  if (codec !== "vp09" && codec !== "av01") config.description = header.slice();
  return config;
}

function videoName(codec: string, header: Uint8Array): string {
  const byte = (i: number): number => header[i] ?? 0;
  const hex = (n: number): string => n.toString(16).padStart(2, "0");
  switch (codec) {
    case "avc1": // ISO 14496-15, 5.3.3.1
      if (header.length < 7) throw new Error("short AVC configuration");
      return `avc1.${hex(byte(1))}${hex(byte(2))}${hex(byte(3))}`;
    case "hvc1": {
      // ISO 14496-15, 8.3.3.1 and E.3
      if (header.length < 23) throw new Error("short HEVC configuration");
      const space = ["", "A", "B", "C"][byte(1) >> 6]!;
      let compatibility = 0;
      const flags = new DataView(header.buffer, header.byteOffset).getUint32(2);
      for (let i = 0; i < 32; i++) if ((flags >>> i) & 1) compatibility |= 1 << (31 - i);
      const constraints: string[] = [];
      for (let i = 6; i < 12; i++) constraints.push(byte(i).toString(16).toUpperCase());
      while (constraints.length && constraints[constraints.length - 1] === "0") constraints.pop();
      const tier = byte(1) & 0x20 ? "H" : "L";
      return ["hvc1", `${space}${byte(1) & 0x1f}`, (compatibility >>> 0).toString(16).toUpperCase(), `${tier}${byte(12)}`, ...constraints].join(".");
    }
    case "av01": {
      // AV1 in ISOBMFF, 2.3.3
      if (header.length < 4) throw new Error("short AV1 configuration");
      const depth = byte(2) & 0x40 ? (byte(2) & 0x20 ? 12 : 10) : 8;
      return `av01.${byte(1) >> 5}.${String(byte(1) & 0x1f).padStart(2, "0")}${byte(2) & 0x80 ? "H" : "M"}.${String(depth).padStart(2, "0")}`;
    }
    case "vp09": // VP9 in ISOBMFF, with the four bytes of a full box in front
      return `vp09.${[byte(4), byte(5), byte(6) >> 4].map((n) => String(n).padStart(2, "0")).join(".")}`;
  }
  throw new Error(`unknown video codec ${JSON.stringify(codec)}`);
}

/** How many bytes stand in front of each NAL unit. */
export function nalLength(codec: string, header: Uint8Array): number {
  return codec === "avc1" ? (header[4]! & 3) + 1 : codec === "hvc1" ? (header[21]! & 3) + 1 : 0;
}

const rates = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/**
 * The configuration of an audio decoder (AudioSpecificConfig, ISO 14496-3 1.6.2.1; OpusHead, RFC
 * 7845 5.1), or an Error.
 */
export function audioConfig(codec: string, header: Uint8Array): AudioDecoderConfig {
  if (codec === "Opus") return { codec: "opus", sampleRate: 48000, numberOfChannels: header[9] || 2 };
  if (codec !== "mp4a") throw new Error(`unknown audio codec ${JSON.stringify(codec)}`);
  if (header.length < 2) throw new Error("short AAC configuration");
  const bits = (header[0]! << 16) | (header[1]! << 8) | (header[2] ?? 0);
  const object = bits >> 19;
  const sampleRate = rates[(bits >> 15) & 15];
  if (!sampleRate) throw new Error("unusual AAC sampling rate");
  return { codec: `mp4a.40.${object}`, sampleRate, numberOfChannels: ((bits >> 11) & 15) || 2, description: header.slice() };
}

/** What a browser is asked whether it can play, before anything of the stream is there. */
export const typical: Record<string, string> = {
  avc1: "avc1.640028",
  hvc1: "hvc1.1.6.L120.B0",
  av01: "av01.0.08M.08",
  vp09: "vp09.00.40.08",
  mp4a: "mp4a.40.2",
  Opus: "opus",
};

/** How people call it. */
export const codecName: Record<string, string> = { avc1: "H.264", hvc1: "H.265 (HEVC)", av01: "AV1", vp09: "VP9", mp4a: "AAC", Opus: "Opus" };
