// Real players crossed with what happens to live streams: does the picture go on, and how soon?
//
//   node matrix.mjs RELAY                   a test: waits for each picture, for long where the machine is busy
//   node matrix.mjs RELAY --table FILE      measures, and writes the table between the marks of a Markdown file
//   --only PATTERN, --players ID,ID         some of it
//
// RELAY is the program. Exits with 1 where a picture stands that the player's limits do not explain.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { executable, openBrowser, versions } from './browser.mjs';
import { judge } from './judge.mjs';
import { makeMedia, Publisher } from './media.mjs';
import { startNative } from './native.mjs';
import { players as all } from './player.mjs';
import { startPipe, startRelay } from './relay.mjs';
import { situations } from './situation.mjs';

const { values: flags, positionals } = parseArgs({
	allowPositionals: true,
	options: { only: { type: 'string', default: '' }, players: { type: 'string', default: '' }, table: { type: 'string' } },
});
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const runs = (command, ...args) => {
	try {
		return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
	} catch {
		return '';
	}
};

const programs = { ffmpeg: runs('ffmpeg', '-version'), gstreamer: ['rtmp2src', 'souphttpsrc', 'flvdemux', 'avdec_h264'].every((e) => runs('gst-inspect-1.0', '--exists', e) !== null && runs('gst-inspect-1.0', e)) && runs('gst-launch-1.0', '--version') };
if (!programs.ffmpeg) throw new Error('ffmpeg is missing: it makes the streams');
const wanted = all.filter((p) => !flags.players || flags.players.split(',').includes(p.id));
const players = wanted.filter((p) => (p.native ? programs[p.native] : executable));
for (const p of wanted.filter((p) => !players.includes(p))) console.log(`not played: ${p.name}, its program is missing`);

const frames = 50; // that are to be shown after the event: two seconds
const patience = 40_000; // ms
const watched = 7000; // ms after the event, to measure

const relay = await startRelay(positionals[0]);
const media = {
	base: makeMedia(relay.folder, 'base'),
	small: makeMedia(relay.folder, 'small', { size: '160x120' }),
	large: makeMedia(relay.folder, 'large', { kbps: 4000, noise: 60 }),
};
const browser = players.some((p) => !p.native) && (await openBrowser());

/** Plays one situation to all players; returns how each fared. */
async function play(situation, name) {
	const pipe = situation.pipe && { http: await startPipe(relay.http), rtmp: await startPipe(relay.rtmp) };
	const ports = pipe ? { http: pipe.http.port, rtmp: pipe.rtmp.port } : relay;
	const address = (scheme = 'http') => (scheme === 'rtmp' ? `rtmp://127.0.0.1:${ports.rtmp}/live/${name}` : `${scheme}://127.0.0.1:${ports.http}/live/${name}.flv`) + (situation.query ?? '');
	const publishers = [];
	const stage = {
		media,
		url: `ws://127.0.0.1:${relay.http}/live/${name}.flv?publish=1`,
		stopUp: (yes) => (pipe.http.stopUp(yes), pipe.rtmp.stopUp(yes)),
		publisher(which, options) {
			publishers.push(new Publisher(media[which], options));
			return publishers.at(-1);
		},
	};
	stage.current = stage.publisher(situation.media ?? 'base', situation);
	await stage.current.open(stage.url);
	await wait(1500);
	const seen = Object.fromEntries(players.map((p) => [p.id, { samples: [], events: [] }]));
	const natives = [];
	const read = async () => {
		for (const [id, now] of [...Object.entries(browser ? await browser.read() : {}), ...natives.map((n) => [n.id, n.read()])]) {
			seen[id].samples.push(...now.samples);
			seen[id].events.push(...now.events);
		}
	};
	try {
		if (browser) await browser.start(players.filter((p) => !p.native).map((p) => ({ ...p, url: address(p.scheme) })));
		for (const p of players.filter((p) => p.native)) natives.push({ id: p.id, ...startNative(p.native, address(p.scheme)) });
		for (const end = Date.now() + patience; Date.now() < end; await wait(200)) {
			await read();
			if (players.every((p) => (seen[p.id].samples.at(-1)?.frames ?? 0) > 40)) break;
		}
		const key = await situation.run(stage);
		const judged = () => Object.fromEntries(players.map((p) => [p.id, { ...judge(seen[p.id].samples, key), events: [...new Set(seen[p.id].events)].join(' | ').slice(0, 400) }]));
		const well = (r) => r.moves && r.frames >= frames;
		const end = flags.table ? key + watched : Date.now() + patience;
		for (;;) {
			await wait(200);
			await read();
			const result = judged();
			if (Date.now() > end || (!flags.table && players.every((p) => well(result[p.id]) || situation.limits?.includes(p.id)))) {
				for (const p of players) result[p.id].well = flags.table ? result[p.id].moves : well(result[p.id]);
				return result;
			}
		}
	} finally {
		if (browser) await browser.stop();
		await Promise.all(natives.map((n) => n.stop()));
		publishers.forEach((p) => p.close());
		if (pipe) pipe.http.close(), pipe.rtmp.close();
	}
}

const rows = [];
let failures = 0;
const version = browser && browser.version; // of Chromium
try {
	for (const [number, situation] of situations.entries()) {
		if (!new RegExp(flags.only).test(situation.name)) continue;
		const result = await play(situation, `s${number}`);
		console.log(situation.name);
		for (const p of players) {
			const { well, stood, later, events } = result[p.id];
			const limit = situation.limits?.includes(p.id);
			if (!well && !limit) failures++;
			const signed = `${later < 0 ? '' : '+'}${later.toFixed(1)}`;
			console.log(`  ${well ? 'ok    ' : limit ? 'limit ' : 'STANDS'} ${p.name.padEnd(22)} stood ${stood.toFixed(1)} s${p.native ? '' : `, buffer ${signed} s`}${well ? '' : `  ${events}`}`);
			result[p.id].cell = well ? `${stood.toFixed(1)}${later > 1 ? ` (${signed})` : ''}` : 'stands';
		}
		rows.push(`| ${[situation.name, ...players.map((p) => result[p.id].cell)].join(' | ')} |`);
	}
} finally {
	if (browser) await browser.close();
	await relay.stop();
	rmSync(relay.folder, { recursive: true });
}

if (flags.table) {
	const line = (text) => text && text.split('\n')[0];
	const tried = [...versions(), version && `Chromium ${version}`, /ffmpeg version [\d.]+/.exec(programs.ffmpeg)?.[0].replace(' version', ''), /version [\d.]+/.exec(line(programs.gstreamer))?.[0].replace('version', 'GStreamer')];
	const table = [`| seconds without a new picture | ${players.map((p) => p.name).join(' | ')} |`, `|---|${players.map(() => '---|').join('')}`, ...rows].join('\n');
	const [begin, end] = ['<!-- measured -->', '<!-- /measured -->'];
	const page = readFileSync(flags.table, 'utf8');
	writeFileSync(flags.table, `${page.slice(0, page.indexOf(begin) + begin.length)}\n${tried.filter(Boolean).join(', ')}.\n\n${table}\n${page.slice(page.indexOf(end))}`);
}
process.exit(failures ? 1 : 0);
