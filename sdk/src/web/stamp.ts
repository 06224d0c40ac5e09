// The publisher's clock in the stream: an SEI message (H.264 Annex D.1.7, user_data_unregistered)
// in front of a picture, with the moment at which the picture was taken, in the server's time. A
// player that knows the server's time, too, knows by it how old what it shows is. RTMP servers,
// recorders and players pass over it.

/** Marks the message as ours (the UUID that the standard wants). */
const mark = [0x6c, 0x69, 0x76, 0x65, 0x72, 0x65, 0x6c, 0x61, 0x79, 0x2e, 0x73, 0x74, 0x61, 0x6d, 0x70, 0x31]; // "liverelay.stamp1"

const userData = 5;
const length = mark.length + 8;

/**
 * A NAL unit, without start code or length, that holds the moment: milliseconds since 1970 in the
 * server's time, a whole or broken number. Put it in front of the first slice of the picture.
 */
export function stampNal(moment: number): Uint8Array {
  const payload = new Uint8Array(length);
  payload.set(mark);
  // Microseconds: 53 bits of them last until 2255.
  const micros = Math.round(moment * 1000);
  const view = new DataView(payload.buffer);
  view.setUint32(mark.length, Math.floor(micros / 2 ** 32));
  view.setUint32(mark.length + 4, micros % 2 ** 32);
  const out = [6, userData, length];
  let zeros = 0;
  for (const byte of payload) {
    // Emulation prevention (7.3.1).
    if (zeros === 2 && byte <= 3) {
      out.push(3);
      zeros = 0;
    }
    out.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  out.push(0x80);
  return Uint8Array.from(out);
}

/**
 * The moment that a picture carries, of NAL units with lengths in front (as in FLV), or undefined.
 */
export function readStamp(picture: Uint8Array, lengthSize = 4): number | undefined {
  for (let at = 0; at + lengthSize < picture.length; ) {
    let size = 0;
    for (let i = 0; i < lengthSize; i++) size = size * 256 + picture[at + i]!;
    at += lengthSize;
    const kind = picture[at]! & 0x1f;
    // Only what stands in front of the slices.
    if (kind >= 1 && kind <= 5) return undefined;
    if (kind === 6) {
      const moment = readNal(picture.subarray(at, Math.min(at + size, picture.length)));
      if (moment !== undefined) return moment;
    }
    at += size;
  }
  return undefined;
}

function readNal(nal: Uint8Array): number | undefined {
  if (nal[1] !== userData || nal[2] !== length) return undefined;
  const plain: number[] = [];
  let zeros = 0;
  for (let i = 3; i < nal.length && plain.length < length; i++) {
    const byte = nal[i]!;
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    plain.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  if (plain.length < length || mark.some((byte, i) => plain[i] !== byte)) return undefined;
  return plain.slice(mark.length).reduce((sum, byte) => sum * 256 + byte, 0) / 1000;
}
