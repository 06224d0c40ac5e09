// Brings the tracks on one clock. A camera's timestamps begin with the machine, a microphone's are
// performance.now() of whoever reads them, a canvas's begin at 0: no fixed rule holds, so each
// track is compared with the clock it is read by.

/**
 * A track's timestamps may be so far from the clock of this worker and still be taken for it, ms.
 */
const near = 60;
/** So many frames at a track's start show where its clock is. The first few come in a burst. */
const burst = 5;
const trial = 20;
/** A track whose clock has moved by so much is set anew, ms: after sleep, or on another device. */
const moved = 40;
const watched = 50;

/** The clock of one track. Times are milliseconds of performance.now(). */
export class TrackClock {
  private frames = 0;
  private offset = 0;
  private settled = false;
  private least = Infinity;
  private recent: number[] = [];
  private last = -Infinity;

  /** @param own Whether its timestamps should already be on our clock, as a microphone's are. */
  constructor(private readonly own: boolean) {}

  /** When a frame was taken, or undefined while that is not known: leave such a frame out. */
  time(stamp: number, now: number): number | undefined {
    const late = now - stamp;
    this.frames++;
    if (!this.settled) {
      if (this.own && Math.abs(late) <= near) {
        this.offset = 0;
        this.settled = true;
      } else if (this.frames <= burst) return undefined;
      else {
        this.least = Math.min(this.least, late);
        this.offset = this.least;
        if (this.frames >= trial) this.settled = true;
        else if (this.own) return undefined;
      }
    } else this.watch(late);
    const time = Math.max(stamp + this.offset, this.last);
    this.last = time;
    return time;
  }

  /** The device changed, or was away. */
  reset(): void {
    this.frames = 0;
    this.settled = false;
    this.least = Infinity;
    this.recent = [];
  }

  private watch(late: number): void {
    this.recent.push(late - this.offset);
    if (this.recent.length < watched) return;
    const least = Math.min(...this.recent);
    this.recent = [];
    // A track may be a little late by its nature; it is never early.
    if (least > moved + (this.own ? near : 0) || least < -moved) this.offset += least;
  }
}
