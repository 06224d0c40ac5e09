// Writes fragmented MP4 (ISO 14496-12), as Media Source Extensions want it: one file for each
// track, one fragment for each frame.

/** A track, as an initialization segment describes it. */
export interface Mp4Track {
  kind: "audio" | "video";
  /** avc1, hvc1, av01, vp09, mp4a, Opus. */
  codec: string;
  /** The codec's configuration record, as FLV carries it. */
  header: Uint8Array;
  /** Units in a second. */
  timescale: number;
  /** Of a picture, in pixels. */
  width?: number;
  height?: number;
  /** Of sound. */
  channels?: number;
}

/** A frame of a track. Times are in the track's units. */
export interface Mp4Frame {
  dts: number;
  /** When it is shown, after its dts; may be negative. */
  offset: number;
  duration: number;
  key: boolean;
  data: Uint8Array;
}

type Part = Uint8Array | number[];

/** The initialization segment. */
export function mp4Head(track: Mp4Track): Uint8Array<ArrayBuffer> {
  return join([
    box("ftyp", text("iso5"), u32(512), text("iso5iso6mp41")),
    box(
      "moov",
      // A duration of 0 tells the browser that this is live.
      full("mvhd", 0, 0, u32(0, 0, 1000, 0, 0x10000), u16(0x100, 0), u32(0, 0), matrix, u32(0, 0, 0, 0, 0, 0, 2)),
      box("trak", trackHeader(track), media(track)),
      box("mvex", full("trex", 0, 0, u32(1, 1, 0, 0, 0))),
    ),
  ]);
}

const notSync = 0x1010000; // depends on others, is no sync sample (8.8.3.1)
const sync = 0x2000000;

/** A media segment of one frame. */
export function mp4Fragment(sequence: number, frame: Mp4Frame): Uint8Array<ArrayBuffer> {
  const { dts, offset, duration, key, data } = frame;
  const head = (at: number): Part =>
    box(
      "moof",
      full("mfhd", 0, 0, u32(sequence)),
      box(
        "traf",
        full("tfhd", 0, 0x20000, u32(1)), // offsets begin at the moof
        full("tfdt", 1, 0, u32(Math.floor(dts / 2 ** 32), dts % 2 ** 32)),
        full("trun", 1, 0xf01, u32(1, at, duration, data.length, key ? sync : notSync, offset)),
      ),
    );
  return join([head(head(0).length + 8), u32(data.length + 8), text("mdat"), data]);
}

const matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);

function trackHeader(track: Mp4Track): Part {
  const { width = 0, height = 0 } = track;
  return full("tkhd", 0, 7, u32(0, 0, 1, 0, 0, 0, 0), u16(0, 0, track.kind === "audio" ? 0x100 : 0, 0), matrix, u32(width * 0x10000, height * 0x10000));
}

function media(track: Mp4Track): Part {
  const sound = track.kind === "audio";
  return box(
    "mdia",
    full("mdhd", 0, 0, u32(0, 0, track.timescale, 0), u16(0x55c4, 0)), // language: und
    full("hdlr", 0, 0, u32(0), text(sound ? "soun" : "vide"), u32(0, 0, 0), [0]),
    box(
      "minf",
      sound ? full("smhd", 0, 0, u32(0)) : full("vmhd", 0, 1, u32(0, 0)),
      box("dinf", full("dref", 0, 0, u32(1), full("url ", 0, 1))),
      box(
        "stbl",
        full("stsd", 0, 0, u32(1), sound ? soundEntry(track) : pictureEntry(track)),
        full("stts", 0, 0, u32(0)),
        full("stsc", 0, 0, u32(0)),
        full("stsz", 0, 0, u32(0, 0)),
        full("stco", 0, 0, u32(0)),
      ),
    ),
  );
}

/** Which box holds the record. VP9's record in FLV already has a full box's version and flags. */
const records: Record<string, string> = { avc1: "avcC", hvc1: "hvcC", av01: "av1C", vp09: "vpcC" };

function pictureEntry({ codec, header, width = 0, height = 0 }: Mp4Track): Part {
  const name = new Array<number>(32).fill(0);
  return box(codec, u32(0), u16(0, 1), u32(0, 0, 0, 0), u16(width, height), u32(0x480000, 0x480000, 0), u16(1), name, u16(24, 0xffff), box(records[codec]!, header));
}

function soundEntry({ codec, header, timescale, channels = 2 }: Mp4Track): Part {
  const config = codec === "Opus" ? box("dOps", opus(header)) : full("esds", 0, 0, descriptors(header));
  return box(codec, u32(0), u16(0, 1), u32(0, 0), u16(channels, 16), u32(0, timescale * 0x10000), config);
}

/** ES_Descriptor with the AudioSpecificConfig (ISO 14496-1, 7.2.6.5). */
function descriptors(config: Uint8Array): Part {
  const specific = [5, config.length, ...config];
  // AAC, an audio stream
  const decoder = [4, 13 + specific.length, 0x40, 0x15, 0, 0, 0, ...u32(0, 0), ...specific];
  return [3, 3 + decoder.length + 3, 0, 1, 0, ...decoder, 6, 1, 2];
}

/** An OpusHead (RFC 7845, 5.1) turned into what MP4 has: the other byte order, and version 0. */
function opus(head: Uint8Array): Part {
  if (head.length < 19) return [0, 2, ...u16(312), ...u32(48000), ...u16(0), 0];
  const [channels, skip, rate, gain] = [head[9]!, [11, 10], [15, 14, 13, 12], [17, 16]];
  return [0, channels, ...[...skip, ...rate, ...gain].map((at) => head[at]!), ...head.subarray(18)];
}

function box(type: string, ...parts: Part[]): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  return join([u32(size), text(type), ...parts]);
}

function full(type: string, version: number, flags: number, ...parts: Part[]): Uint8Array<ArrayBuffer> {
  return box(type, u32(version * 0x1000000 + flags), ...parts);
}

function join(parts: Part[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function text(s: string): number[] {
  return [...s].map((c) => c.charCodeAt(0));
}

function u16(...values: number[]): number[] {
  return bigEndian(values, 8);
}

function u32(...values: number[]): number[] {
  return bigEndian(values, 24);
}

function bigEndian(values: number[], highest: number): number[] {
  const out: number[] = [];
  for (const value of values) for (let shift = highest; shift >= 0; shift -= 8) out.push((value >>> shift) & 255);
  return out;
}
