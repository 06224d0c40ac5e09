// Writes an FLV byte stream of H.264 and AAC (FLV 10.1, Annex E).

/** What the metadata tag says; players and operators show it. */
export interface Metadata {
  width: number;
  height: number;
  framerate: number;
  videodatarate: number;
  audiosamplerate: number;
  stereo: boolean;
}

const audioTag = 8;
const videoTag = 9;
const scriptTag = 18;

/** The file header with both tracks, and the first PreviousTagSize. */
export function fileHeader(): Uint8Array {
  return Uint8Array.of(0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0);
}

/** AVCDecoderConfigurationRecord (ISO 14496-15). */
export function videoHeader(dts: number, record: Uint8Array): Uint8Array {
  return tag(videoTag, dts, [Uint8Array.of(0x17, 0, 0, 0, 0), record]);
}

/**
 * A picture: NAL units with their lengths in front. B-frames are not made, so there is no
 * composition time.
 */
export function video(dts: number, key: boolean, parts: Uint8Array[]): Uint8Array {
  return tag(videoTag, dts, [Uint8Array.of(key ? 0x17 : 0x27, 1, 0, 0, 0), ...parts]);
}

/** AudioSpecificConfig (ISO 14496-3, 1.6.2.1). */
export function audioHeader(dts: number, config: Uint8Array): Uint8Array {
  return tag(audioTag, dts, [Uint8Array.of(0xaf, 0), config]);
}

/** A raw AAC frame. */
export function audio(dts: number, frame: Uint8Array): Uint8Array {
  return tag(audioTag, dts, [Uint8Array.of(0xaf, 1), frame]);
}

/** onMetaData, an AMF0 array. */
export function metadata(m: Metadata): Uint8Array {
  const out: number[] = [2, ...text("onMetaData"), 8, 0, 0, 0, 9];
  const set = (name: string, value: number | boolean | string): void => {
    out.push(...text(name));
    if (typeof value === "boolean") out.push(1, value ? 1 : 0);
    else if (typeof value === "string") out.push(2, ...text(value));
    else {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setFloat64(0, value);
      out.push(0, ...bytes);
    }
  };
  set("width", m.width);
  set("height", m.height);
  set("framerate", m.framerate);
  set("videocodecid", 7);
  set("videodatarate", m.videodatarate);
  set("audiocodecid", 10);
  set("audiosamplerate", m.audiosamplerate);
  set("stereo", m.stereo);
  set("encoder", "liverelay call page");
  out.push(0, 0, 9);
  return tag(scriptTag, 0, [Uint8Array.from(out)]);
}

function text(s: string): number[] {
  const bytes = new TextEncoder().encode(s);
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
}

function tag(type: number, dts: number, parts: Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const out = new Uint8Array(15 + size);
  const view = new DataView(out.buffer);
  view.setUint32(0, (type << 24) | size);
  // Three bytes, and the highest after them.
  view.setUint32(4, ((dts & 0xffffff) << 8) | ((dts >>> 24) & 0xff));
  let at = 11;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  view.setUint32(at, 11 + size);
  return out;
}
