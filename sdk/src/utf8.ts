/**
 * How many bytes text takes in UTF-8. A mini program has no TextEncoder. A lone surrogate counts as
 * U+FFFD does: 3.
 */
export function byteLength(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x80) n += 1;
    else if (c < 0x800) n += 2;
    else if (c >= 0xd800 && c < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      n += 4;
      i++;
    } else n += 3;
  }
  return n;
}

/** As much of text as fits into so many bytes of UTF-8; no character is cut in half. */
export function cutBytes(text: string, most: number): string {
  if (byteLength(text) <= most) return text;
  let cut = "";
  for (const character of text.slice(0, most)) {
    most -= byteLength(character);
    if (most < 0) break;
    cut += character;
  }
  return cut;
}
