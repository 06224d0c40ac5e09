// Test media: short FLV files that ffmpeg makes, and a publisher that sends them in real time with any clock.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import WebSocket from 'ws';

export const seconds = 8; // whole numbers of GOPs and of AAC frames, so that a file follows itself
const kinds = { 8: 'audio', 9: 'video', 18: 'script' };

/** Makes an FLV file and reads it: {headers, audio, video}, each a list of {kind, at (ms), body, key}. */
export function makeMedia(folder, name, { size = '320x240', kbps = 0, noise = 0 } = {}) {
	const file = join(folder, `${name}.flv`);
	const filter = noise ? `,noise=alls=${noise}:allf=t` : '';
	execFileSync('ffmpeg', [
		'-v', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=s=${size}:r=25${filter}`, '-f', 'lavfi', '-i', 'sine=440:r=48000', '-t', String(seconds),
		'-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '25', '-sc_threshold', '0',
		...(kbps ? ['-b:v', `${kbps}k`, '-maxrate', `${kbps}k`, '-bufsize', `${kbps}k`] : []),
		'-c:a', 'aac', '-ac', '2', '-b:a', '64k', '-flvflags', 'no_duration_filesize', file]);
	const bytes = readFileSync(file);
	const media = { headers: [], audio: [], video: [] };
	for (let o = 13; o + 11 < bytes.length; ) {
		const length = bytes.readUIntBE(o + 1, 3);
		const kind = kinds[bytes[o]];
		const body = bytes.subarray(o + 11, o + 11 + length);
		const tag = { kind, at: bytes.readUIntBE(o + 4, 3), body, key: kind === 'video' && body[0] >> 4 === 1 };
		if (kind === 'script' || body[1] === 0) media.headers.push(tag);
		else if (tag.at < seconds * 1000 && body[1] === 1) media[kind].push(tag);
		o += length + 15;
	}
	return media;
}

/** An FLV tag (FLV 10.1, E.4.1) with a timestamp of 32 bits. */
function flvTag({ kind, body }, timestamp) {
	const b = Buffer.alloc(15 + body.length);
	b[0] = { audio: 8, video: 9, script: 18 }[kind];
	b.writeUIntBE(body.length, 1, 3);
	b.writeUIntBE(timestamp & 0xffffff, 4, 3);
	b[7] = timestamp >>> 24;
	body.copy(b, 11);
	b.writeUInt32BE(11 + body.length, 11 + body.length);
	return b;
}

/**
 * Publishes media in a loop, in real time. Its true time counts from 0; clock(kind, at) tells what it stamps, and lag
 * by how many ms a kind arrives late.
 */
export class Publisher {
	#socket;
	#timer;
	#next = { audio: 0, video: 0 };
	#begin;
	sent = 0; // keyframes
	keyAt = 0; // when the newest keyframe was sent

	constructor(media, { clock = (_, at) => at, lag = {} } = {}) {
		Object.assign(this, { media, clock, lag });
	}

	async open(url) {
		this.#socket = new WebSocket(url);
		await new Promise((resolve, reject) => {
			this.#socket.once('open', resolve);
			this.#socket.once('error', reject);
			this.#socket.once('close', (code, reason) => reject(new Error(`publisher refused: ${code} ${reason}`)));
		});
		this.#socket.on('error', () => {});
		this.#socket.send(Buffer.from([0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]));
		this.headers();
		this.#begin = Date.now();
		this.#timer = setInterval(() => this.#tick(), 10);
		this.#tick();
	}

	/** True time in ms. */
	get now() {
		return Date.now() - this.#begin;
	}

	/** The true time of the first keyframe that is still to be sent. */
	get nextKey() {
		for (let i = this.#next.video; ; i++) if (this.#tag('video', i).key) return this.#tag('video', i).at;
	}

	/** Sends metadata and sequence headers, again if they were sent before. */
	headers() {
		for (const tag of this.media.headers) this.#socket.send(flvTag(tag, tag.kind === 'script' ? 0 : this.clock(tag.kind, this.#tag(tag.kind, this.#next[tag.kind]).at) >>> 0));
	}

	#tag(kind, i) {
		const list = this.media[kind];
		const tag = list[i % list.length];
		return { ...tag, at: tag.at + Math.floor(i / list.length) * seconds * 1000 };
	}

	#tick() {
		for (;;) {
			const due = ['video', 'audio'].map((kind) => this.#tag(kind, this.#next[kind])).map((tag) => ({ tag, when: tag.at + (this.lag[tag.kind] ?? 0) }));
			let { tag, when } = due[0].when <= due[1].when ? due[0] : due[1];
			if (when > this.now) return;
			if (tag.key) {
				this.onKey?.(tag.at);
				tag = this.#tag(tag.kind, this.#next[tag.kind]); // of other media now, perhaps
				this.sent++;
				this.keyAt = Date.now();
			}
			this.#next[tag.kind]++;
			this.#socket.send(flvTag(tag, this.clock(tag.kind, tag.at) >>> 0));
		}
	}

	/** Waits until a keyframe of a true time has been sent, and returns when that was. */
	async key(at) {
		while (this.#tag('video', this.#next.video).at <= at) await new Promise((resolve) => setTimeout(resolve, 5));
		return Date.now();
	}

	/** Ends as a lost connection does, or cleanly. */
	close(lost) {
		clearInterval(this.#timer);
		if (lost) this.#socket.terminate();
		else this.#socket.close(1000);
	}
}
