// In the browser's audio thread: plays what comes, a little faster or slower so that as much lies
// in store as is asked for. Plain JavaScript, because it is loaded by its own address.

const most = 1000; // ms in store; above, what is old is left out
// Seconds after it began, in which too much is left out at once: it was silent anyway
const settle = 0.25;
const slack = 20; // ms that are not too much
// Quanta (2.7 ms at 48 kHz) over which the store is averaged: it grows by whole pieces
const inertia = 100;
const report = 0.04; // s between two reports

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = []; // {pts, rate, channels: [Float32Array, …]}
    this.at = 0; // in the first block, in samples of its own rate
    this.target = 45;
    this.running = false;
    this.begun = 0;
    this.average = 0;
    this.underruns = 0;
    this.skipped = 0;
    this.square = 0;
    this.samples = 0;
    this.lowest = Infinity;
    this.told = 0;
    this.over = false;
    this.port.onmessage = ({ data }) => {
      if (data.target) this.target = data.target;
      if (data.clear) this.clear();
      if (data.end) this.over = true;
      if (data.channels) this.blocks.push(data);
    };
  }

  clear() {
    this.blocks = [];
    this.at = 0;
    this.running = false;
  }

  /** Media in store, ms. */
  store() {
    let ms = 0;
    for (const b of this.blocks) ms += (b.channels[0].length / b.rate) * 1000;
    if (this.blocks.length) ms -= (this.at / this.blocks[0].rate) * 1000;
    return ms;
  }

  process(_, [output]) {
    let store = this.store();
    if (!this.running && store >= this.target) {
      this.running = true;
      this.begun = currentTime;
      this.average = store;
    }
    const limit = currentTime - this.begun < settle ? slack : most;
    while (store > this.target + limit && this.blocks.length > 1) {
      const b = this.blocks.shift();
      store -= ((b.channels[0].length - this.at) / b.rate) * 1000;
      this.at = 0;
      this.skipped++;
    }
    if (this.running) {
      // Two percent are hardly heard; more, when far behind, is better than staying there.
      this.average += (store - this.average) / inertia;
      const off = (this.average - this.target) / 1000;
      const speed = 1 + Math.max(-0.01, Math.min(off > 0.1 ? 0.06 : 0.02, off));
      if (!this.fill(output, speed)) {
        this.running = false;
        this.underruns++;
      } else this.lowest = Math.min(this.lowest, store);
    }
    if (currentTime - this.told >= report) this.tell(store);
    return !this.over;
  }

  /** Fills the output; false when the store ran out. */
  fill(output, speed) {
    const frames = output[0].length;
    for (let i = 0; i < frames; i++) {
      let block = this.blocks[0];
      while (block && this.at >= block.channels[0].length) {
        this.at -= block.channels[0].length;
        this.blocks.shift();
        block = this.blocks[0];
      }
      if (!block) {
        this.at = 0;
        return false;
      }
      const index = Math.floor(this.at);
      const part = this.at - index;
      for (let c = 0; c < output.length; c++) {
        const channel = block.channels[Math.min(c, block.channels.length - 1)];
        let next = channel[index + 1];
        if (next === undefined) {
          const after = this.blocks[1];
          next = after ? after.channels[Math.min(c, after.channels.length - 1)][0] : channel[index];
        }
        output[c][i] = channel[index] * (1 - part) + next * part;
      }
      this.square += output[0][i] * output[0][i];
      this.at += (speed * block.rate) / sampleRate;
    }
    this.samples += frames;
    return true;
  }

  tell(store) {
    this.told = currentTime;
    const first = this.blocks[0];
    this.port.postMessage({
      // What is at the end of this quantum: it is heard at `time` and the output's latency.
      pts: first && this.running ? first.pts + (this.at / first.rate) * 1000 : undefined,
      time: currentTime + 128 / sampleRate,
      store,
      lowest: this.lowest,
      level: this.samples ? Math.sqrt(this.square / this.samples) : 0,
      underruns: this.underruns,
      skipped: this.skipped,
    });
    this.square = this.samples = 0;
    this.lowest = Infinity;
  }
}

registerProcessor("liverelay-player", Player);
