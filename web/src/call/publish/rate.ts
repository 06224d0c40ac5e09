// How much may be sent: by the relay's word of what has arrived, for a browser's bufferedAmount
// does not see what waits in the system.

const slow = 900; // ms under way: less is sent
const stuck = 2000; // ms under way: pictures are left out …
const freed = 600; // … until no more than this is
const rest = 1200; // ms between two cuts: what was cut must show first
const calm = 5000; // ms without trouble until more is tried
const buffered = 512 << 10; // bytes that wait in the browser itself
const least = 150; // kbit/s

/** The relay's word: the timestamps (ms) of what has arrived last. */
export interface Word {
  audio?: number;
  video?: number;
}

/** Decides on the bitrate of the picture and on leaving pictures out. All times in ms. */
export class Rate {
  /** Kbit/s that the encoder should make. */
  kbps: number;
  /** Pictures are left out up to the next keyframe. */
  dropping = false;
  /** How much is under way, ms of media. */
  backlog = 0;
  private sent = 0;
  private arrived = -1;
  private cutAt = -Infinity;
  private calmSince: number;

  constructor(private wanted: number, now: number) {
    this.kbps = wanted;
    this.calmSince = now;
  }

  /** The user's choice. */
  want(kbps: number): void {
    this.wanted = kbps;
    this.kbps = kbps;
  }

  /** A tag went to the socket. */
  send(dts: number): void {
    this.sent = Math.max(this.sent, dts);
  }

  /** The relay's word. */
  word(word: Word, now: number): void {
    this.arrived = Math.max(this.arrived, word.audio ?? -1, word.video ?? -1);
    this.judge(now, 0);
  }

  /** A connection begins: nothing is under way. */
  begin(now: number): void {
    this.arrived = -1;
    this.dropping = false;
    this.backlog = 0;
    this.cutAt = this.calmSince = now;
  }

  /** To be called often. True: the encoder's bitrate has to change. */
  judge(now: number, waiting: number): boolean {
    // A relay that says nothing leaves the browser's own buffer to go by.
    this.backlog = this.arrived < 0 ? 0 : Math.max(0, this.sent - this.arrived);
    const before = this.kbps;
    // Between two words half a second passes.
    const over = this.backlog - 500;
    if (over > slow || waiting > buffered / 4) {
      this.calmSince = now;
      if (now - this.cutAt > rest) {
        this.cutAt = now;
        this.kbps = Math.max(Math.min(least, this.wanted), Math.round(this.kbps * 0.7));
      }
    }
    if (over > stuck || waiting > buffered) this.dropping = true;
    else if (this.dropping && this.backlog < freed + 500 && waiting < buffered / 8) this.dropping = false;
    if (now - this.calmSince > calm && this.kbps < this.wanted) {
      this.calmSince = now;
      this.kbps = Math.min(this.wanted, Math.round(this.kbps * 1.15));
    }
    return this.kbps !== before;
  }
}
