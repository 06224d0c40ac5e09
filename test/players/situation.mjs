// What happens to a stream while players watch it. Each gives when the first keyframe after the event was sent, in
// Date.now()'s ms.
const hour = 3_600_000;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** From the next keyframe on, by the true time of each message: stamps with another clock. */
async function change(publisher, clock) {
	const at = publisher.nextKey;
	const before = publisher.clock;
	publisher.clock = (kind, t) => (t < at ? before(kind, t) : clock(kind, t, at, before));
	return publisher.key(at);
}

/** Loses the publisher in the middle of a GOP. */
async function lose({ current }) {
	await current.key(current.nextKey);
	await wait(500);
	current.close(true);
}

async function another(stage, media) {
	const next = stage.publisher(media);
	const keys = next.sent;
	await next.open(stage.url);
	while (next.sent === keys) await wait(5);
	return next.keyAt;
}

export const situations = [
	{
		name: 'publisher killed, back after 3 s',
		async run(stage) {
			await lose(stage);
			await wait(3000);
			return another(stage, 'base');
		},
	},
	{ name: 'takeover', run: (stage) => another(stage, 'base') },
	{
		name: 'publisher killed, back after 2 s with another picture size',
		async run(stage) {
			await lose(stage);
			await wait(2000);
			return another(stage, 'small');
		},
	},
	{
		name: 'another picture size on the running connection',
		async run({ current, media }) {
			const at = current.nextKey;
			await new Promise((resolve) => (current.onKey = (t) => t >= at && resolve((current.onKey = undefined), (current.media = media.small), current.headers())));
			return current.key(at);
		},
	},
	{
		name: 'headers repeated each second',
		async run({ current }) {
			let first = 0;
			current.onKey = () => {
				current.headers();
				first ||= Date.now();
			};
			while (!first) await wait(5);
			return first;
		},
	},
	{ name: 'clock starts again at 0 after an hour, sound 60 ms late', clock: (_, t) => hour + t, lag: { audio: 60 }, run: ({ current }) => change(current, (_, t, at) => t - at) },
	{ name: 'clock jumps forward an hour, sound 60 ms late', lag: { audio: 60 }, run: ({ current }) => change(current, (_, t) => t + hour) },
	{ name: 'clock jumps forward 5 s', run: ({ current }) => change(current, (_, t) => t + 5000) },
	{ name: 'the picture alone jumps forward an hour', run: ({ current }) => change(current, (kind, t) => (kind === 'video' ? t + hour : t)) },
	{ name: 'the sound alone goes back an hour', clock: (_, t) => hour + t, run: ({ current }) => change(current, (kind, t) => (kind === 'audio' ? t : hour + t)) },
	{ name: 'clock wraps at 2^32', clock: (_, t) => t - 15_000, run: ({ current }) => current.key(15_000) },
	{ name: 'clock wraps at 2^31 (ffmpeg)', clock: (_, t) => (2 ** 31 - 15_000 + t) % 2 ** 31, run: ({ current }) => current.key(15_000) },
	{ name: 'clock passes 2^31', clock: (_, t) => 2 ** 31 - 15_000 + t, run: ({ current }) => current.key(15_000) },
	{
		name: 'player slow for 8 s, skips to a keyframe',
		media: 'large',
		pipe: true,
		limits: ['mpegts', 'websocket', 'flv', 'xgplayer'], // they play the gap, or give up
		async run({ current, stopUp }) {
			stopUp(true);
			await wait(8000);
			stopUp(false);
			return current.key(current.nextKey);
		},
	},
	{ name: 'start=fast, sound 200 ms ahead', query: '?start=fast', lag: { video: 200 }, run: async () => Date.now() },
];
