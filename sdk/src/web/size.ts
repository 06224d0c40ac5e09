// How large a picture is, by its sequence header: MP4 wants to know before the first is decoded.

/** Width and height in pixels, or undefined where the header does not tell them. */
export function pictureSize(codec: string, header: Uint8Array): { width: number; height: number } | undefined {
  try {
    if (codec === "avc1") return avc(new Bits(unit(header, 6, 1)));
    if (codec === "hvc1") return hevc(header);
  } catch {
    // Cut short.
  }
  return undefined;
}

/** A NAL unit with its length (16 bits) in front, without its own header. */
function unit(record: Uint8Array, at: number, header: number): Uint8Array {
  const length = (record[at]! << 8) | record[at + 1]!;
  return record.subarray(at + 2 + header, at + 2 + length);
}

/** H.264 7.3.2.1.1. */
function avc(bits: Bits): { width: number; height: number } {
  const profile = bits.read(8);
  bits.read(16);
  bits.golomb();
  let chroma = 1;
  if ([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].includes(profile)) {
    chroma = bits.golomb();
    if (chroma === 3) bits.read(1);
    bits.golomb();
    bits.golomb();
    bits.read(1);
    if (bits.read(1)) for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) if (bits.read(1)) scaling(bits, i < 6 ? 16 : 64);
  }
  bits.golomb();
  const order = bits.golomb();
  if (order === 0) bits.golomb();
  else if (order === 1) {
    bits.read(1);
    bits.golomb();
    bits.golomb();
    for (let n = bits.golomb(); n > 0; n--) bits.golomb();
  }
  bits.golomb();
  bits.read(1);
  const width = (bits.golomb() + 1) * 16;
  const rows = bits.golomb() + 1;
  const frames = bits.read(1);
  if (!frames) bits.read(1);
  bits.read(1);
  return cropped(bits, width, rows * 16 * (2 - frames), chroma === 1 || chroma === 2 ? 2 : 1, (chroma === 1 ? 2 : 1) * (2 - frames));
}

function scaling(bits: Bits, size: number): void {
  for (let i = 0, last = 8, next = 8; i < size; i++) {
    if (next) next = (last + bits.signed() + 256) % 256;
    last = next || last;
  }
}

/** The record is in ISO 14496-15, 8.3.3.1; the parameter set in H.265, 7.3.2.2. */
function hevc(record: Uint8Array): { width: number; height: number } | undefined {
  let at = 23;
  for (let arrays = record[22] ?? 0; arrays > 0; arrays--) {
    const type = record[at]! & 0x3f;
    const count = (record[at + 1]! << 8) | record[at + 2]!;
    at += 3;
    if (type === 33) {
      const bits = new Bits(unit(record, at, 2));
      bits.read(4);
      const layers = bits.read(3);
      bits.read(1);
      levels(bits, layers);
      bits.golomb();
      const chroma = bits.golomb();
      if (chroma === 3) bits.read(1);
      const [width, height] = [bits.golomb(), bits.golomb()];
      return cropped(bits, width, height, chroma === 1 || chroma === 2 ? 2 : 1, chroma === 1 ? 2 : 1);
    }
    for (let i = 0; i < count && at < record.length; i++) at += 2 + ((record[at]! << 8) | record[at + 1]!);
  }
  return undefined;
}

/** H.265 7.3.3. */
function levels(bits: Bits, layers: number): void {
  bits.skip(96);
  const has: [number, number][] = [];
  for (let i = 0; i < layers; i++) has.push([bits.read(1), bits.read(1)]);
  if (layers) for (let i = layers; i < 8; i++) bits.read(2);
  for (const [profile, level] of has) bits.skip((profile ? 88 : 0) + (level ? 8 : 0));
}

function cropped(bits: Bits, width: number, height: number, x: number, y: number): { width: number; height: number } {
  if (!bits.read(1)) return { width, height };
  const [left, right, top, bottom] = [bits.golomb(), bits.golomb(), bits.golomb(), bits.golomb()];
  return { width: width - (left + right) * x, height: height - (top + bottom) * y };
}

/** The bits of a NAL unit, without its emulation prevention. Throws at the end. */
class Bits {
  private readonly bytes: number[] = [];
  private at = 0;

  constructor(nal: Uint8Array) {
    for (let i = 0; i < nal.length; i++) if (nal[i] !== 3 || i < 2 || nal[i - 1] || nal[i - 2]) this.bytes.push(nal[i]!);
  }

  read(count: number): number {
    if (this.at + count > this.bytes.length * 8) throw new RangeError("short parameter set");
    let value = 0;
    for (; count > 0; count--, this.at++) value = value * 2 + ((this.bytes[this.at >> 3]! >> (7 - (this.at & 7))) & 1);
    return value;
  }

  skip(count: number): void {
    this.at += count;
  }

  /** ue(v), H.264 9.1. */
  golomb(): number {
    let zeros = 0;
    while (!this.read(1)) if (++zeros > 32) throw new RangeError("no number");
    return 2 ** zeros - 1 + this.read(zeros);
  }

  /** se(v). */
  signed(): number {
    const n = this.golomb();
    return n % 2 ? (n + 1) / 2 : -n / 2;
  }
}
