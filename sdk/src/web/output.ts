// The way to the loudspeaker, one for all players of a page: each of its own would be a thread that
// wakes hundreds of times a second.

const users = new Map<AudioContext, number>();
let current: AudioContext | undefined;
let steady = false; // with the usual buffers; the smallest are too small for this machine

/** The output; call it while the user does something, and `closeOutput` in the end. */
export function openOutput(): AudioContext {
  current ??= new AudioContext({ latencyHint: steady ? "interactive" : 0 });
  users.set(current, (users.get(current) ?? 0) + 1);
  return current;
}

export function closeOutput(context: AudioContext): void {
  const left = users.get(context)! - 1;
  users.set(context, left);
  if (left > 0) return;
  users.delete(context);
  if (current === context) current = undefined;
  void context.close().catch(() => undefined);
}

/** There are holes in what comes out. True: another output, which is now open, is steadier. */
export function strained(context: AudioContext): boolean {
  if (context !== current) return true;
  if (steady) return false;
  steady = true;
  current = undefined; // it closes with its last user
  return true;
}
