// What a player did around an event.

/**
 * Judges samples {t, frames, position?, end?, ranges?} around the first keyframe after an event, sent at key (ms).
 * stood is the longest time (s) without a new picture after it; later, how much more is buffered at the end than before.
 */
export function judge(samples, key) {
	const ahead = ({ end, position }) => (end ?? 0) - (position ?? 0);
	const mean = (list) => list.reduce((sum, s) => sum + ahead(s), 0) / (list.length || 1);
	const after = samples.filter((s) => s.t >= key);
	const last = after.at(-1);
	let moved = key;
	let stood = 0;
	for (let i = 1; i < after.length; i++) {
		const [a, b] = [after[i - 1], after[i]];
		if (b.frames > a.frames && !(b.position <= a.position)) {
			stood = Math.max(stood, b.t - moved);
			moved = b.t;
		}
	}
	const end = last?.t ?? key;
	return {
		moves: last !== undefined && end - moved < 1500,
		frames: last ? last.frames - after[0].frames : 0,
		stood: Math.max(stood, end - moved) / 1000,
		later: mean(after.filter((s) => s.t > end - 1000)) - mean(samples.filter((s) => s.t < key && s.t > key - 1000)),
	};
}
