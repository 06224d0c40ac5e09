// Without sound, the network is the clock: pictures are shown as they come, or evenly, a little
// later, where they come unevenly.

const memory = 120; // frames
const quiet = 20; // ms of unevenness that need no evening out
const most = 150;

export class Pace {
  private readonly offsets: number[] = []; // arrival less time in the stream, of the newest frames
  private base = 0;
  private margin = 0;
  private count = 0;

  arrived(pts: number, now: number): void {
    this.offsets.push(now - pts);
    if (this.offsets.length > memory) this.offsets.shift();
    // Sorting is cheap, but not for each frame.
    if (this.count++ % 8 && this.offsets.length > 8) {
      this.base = Math.min(this.base, now - pts);
      return;
    }
    const sorted = [...this.offsets].sort((a, b) => a - b);
    this.base = sorted[0]!;
    const spread = sorted[Math.floor(sorted.length * 0.8)]! - this.base;
    this.margin = spread < quiet ? 0 : Math.min(most, spread);
  }

  /** What should be seen now, in the stream's time. */
  seenAt(now: number): number {
    return this.margin ? now - this.base - this.margin : Infinity;
  }

  clear(): void {
    this.offsets.length = this.count = 0;
    this.margin = 0;
  }
}
