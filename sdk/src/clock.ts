// How long something took. A phone's date is no measure of it: it jumps when the
// network tells the time, or its owner.

declare const performance: { now(): number } | undefined;

/**
 * More than this between two readings of the date is a jump, or a sleep in which nothing was waited
 * for; ms.
 */
const jump = 20000;

let last = 0;
let passed = 0;

/** Milliseconds since some moment; never less than before. For spans of seconds, not for dates. */
export function now(): number {
  if (typeof performance !== "undefined" && performance && typeof performance.now === "function") return performance.now();
  const date = Date.now();
  const step = date - last;
  last = date;
  if (step > 0 && step < jump) passed += step;
  return passed;
}
