// What happened, for those who look for a fault. Tokens are not in it.

export interface Entry {
  at: number;
  what: string;
  detail: string;
}

const most = 500;

export class Journal {
  entries: Entry[] = [];

  constructor(private readonly changed: () => void) {}

  add(what: string, detail: string): void {
    this.entries = [...this.entries.slice(1 - most), { at: Date.now(), what, detail: detail.replace(/([?&#]token=)[^&\s"]*/g, "$1…").trim() }];
    this.changed();
  }

  /** As lines, to be pasted into a report. */
  text(): string {
    return this.entries.map((e) => `${new Date(e.at).toISOString()}  ${e.what.padEnd(12)} ${e.detail}`).join("\n");
  }
}
