// Reads an FLV byte stream (FLV 10.1, Annex E; E-RTMP v2 for the newer codecs) as it comes from a
// socket.

/** What a tag holds. */
export type Kind = "audio" | "video" | "script";

/** One tag. */
export interface Tag {
  kind: Kind;
  /** Decoding time, ms. */
  dts: number;
  /** When it is to be shown, ms. */
  pts: number;
  /** avc1, hvc1, av01, vp09, mp4a, Opus, or "" for what is not known. */
  codec: string;
  /** It configures the decoder and shows nothing. */
  header: boolean;
  key: boolean;
  /** Without FLV's own headers. */
  body: Uint8Array;
}

/** More than any tag has; what announces more is no FLV. */
const longest = 16 << 20;

/** Takes chunks of any size and gives tags. */
export class FlvReader {
  private rest = new Uint8Array(0);
  private begun = false;
  /** The header's flags: which tracks to expect. Players must not rely on it. */
  audio = false;
  video = false;

  constructor(private readonly onTag: (tag: Tag) => void) {}

  /** Takes what has come; throws an Error on bytes that are no FLV. */
  push(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.rest.length) {
      bytes = new Uint8Array(this.rest.length + chunk.length);
      bytes.set(this.rest);
      bytes.set(chunk, this.rest.length);
    }
    let at = 0;
    if (!this.begun) {
      if (bytes.length < 13) return this.keep(bytes);
      if (bytes[0] !== 0x46 || bytes[1] !== 0x4c || bytes[2] !== 0x56) throw new Error("not FLV");
      this.audio = (bytes[4]! & 4) !== 0;
      this.video = (bytes[4]! & 1) !== 0;
      this.begun = true;
      at = 13;
    }
    while (at + 11 <= bytes.length) {
      const size = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (size > longest) throw new Error("FLV tag too long");
      if (at + 15 + size > bytes.length) break;
      // Signed: a clock that starts high is negative to all web players alike.
      const dts = (bytes[at + 7]! << 24) | (bytes[at + 4]! << 16) | (bytes[at + 5]! << 8) | bytes[at + 6]!;
      const tag = read(bytes[at]! & 0x1f, dts, bytes.subarray(at + 11, at + 11 + size));
      if (tag) this.onTag(tag);
      at += 15 + size;
    }
    this.keep(bytes.subarray(at));
  }

  private keep(bytes: Uint8Array): void {
    this.rest = bytes.slice();
  }
}

function read(type: number, dts: number, body: Uint8Array): Tag | undefined {
  if (type === 18) return { kind: "script", dts, pts: dts, codec: "", header: false, key: false, body };
  if (body.length < 2) return undefined;
  if (type === 9) return readVideo(dts, body);
  return type === 8 ? readAudio(dts, body) : undefined;
}

function readVideo(dts: number, body: Uint8Array): Tag | undefined {
  const first = body[0]!;
  if (first & 0x80) return readNewVideo(dts, body);
  const codec = { 7: "avc1", 12: "hvc1" }[first & 0x0f] ?? "";
  const tag: Tag = { kind: "video", dts, pts: dts, codec, header: false, key: first >> 4 === 1, body: body.subarray(1) };
  if (!codec) return tag;
  if (body.length < 5 || body[1]! > 1) return undefined; // end of sequence
  tag.header = body[1] === 0;
  tag.pts = dts + int24(body, 2);
  tag.body = body.subarray(5);
  return tag;
}

/** E-RTMP v2, "Enhanced video". */
function readNewVideo(dts: number, body: Uint8Array): Tag | undefined {
  if (body.length < 5) return undefined;
  const packet = body[0]! & 0x0f;
  const codec = fourCC(body, 1);
  const tag: Tag = { kind: "video", dts, pts: dts, codec, header: packet === 0, key: ((body[0]! >> 4) & 7) === 1, body: body.subarray(5) };
  if (packet === 1 && (codec === "avc1" || codec === "hvc1")) {
    tag.pts = dts + int24(body, 5);
    tag.body = body.subarray(8);
  } else if (packet !== 0 && packet !== 1 && packet !== 3) return undefined;
  return tag;
}

function readAudio(dts: number, body: Uint8Array): Tag | undefined {
  const format = body[0]! >> 4;
  const tag: Tag = { kind: "audio", dts, pts: dts, codec: "", header: false, key: true, body: body.subarray(1) };
  if (format === 10) {
    tag.codec = "mp4a";
    tag.header = body[1] === 0;
    tag.body = body.subarray(2);
  } else if (format === 9) {
    if (body.length < 5) return undefined;
    const packet = body[0]! & 0x0f;
    if (packet > 1) return undefined;
    tag.codec = fourCC(body, 1);
    tag.header = packet === 0;
    tag.body = body.subarray(5);
  }
  // A silent track is kept alive by empty frames.
  return tag.body.length ? tag : undefined;
}

function int24(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8)) >> 8;
}

function fourCC(b: Uint8Array, at: number): string {
  return String.fromCharCode(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!);
}
