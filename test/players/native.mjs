// Players without a page: ffmpeg and GStreamer by command line. Each tells how many frames it has shown.
import { spawn } from 'node:child_process';

const commands = {
	ffmpeg: (url) => ['ffmpeg', ['-v', 'error', '-nostdin', '-stats_period', '0.1', '-progress', 'pipe:1', '-i', url, '-fps_mode', 'passthrough', '-f', 'null', '-']],
	// With a clock, as a player on a screen has one.
	gstreamer: (url) => ['gst-launch-1.0', [
		'-v', ...(url.startsWith('rtmp') ? ['rtmp2src', `location=${url}`] : ['souphttpsrc', 'is-live=true', `location=${url}`]), '!', 'flvdemux', 'name=d',
		'd.video', '!', 'queue', '!', 'h264parse', '!', 'avdec_h264', '!', 'videoconvert', '!', 'fakesink', 'name=picture', 'sync=true', 'silent=false',
		'd.audio', '!', 'queue', '!', 'aacparse', '!', 'fakesink', 'sync=true']],
};

/** Starts a player; samples tells where it is. */
export function startNative(program, url) {
	const [name, args] = commands[program](url);
	const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const player = { samples: [], events: [] };
	let frames = 0;
	let rest = '';
	child.stdout.on('data', (data) => {
		const lines = (rest + data).split('\n');
		rest = lines.pop();
		for (const line of lines) {
			const count = /^frame=(\d+)/.exec(line);
			if (count) frames = +count[1];
			else if (line.includes('GstFakeSink:picture: last-message = chain')) frames++;
		}
	});
	child.stderr.on('data', (data) => player.events.length < 20 && player.events.push(String(data).trim().slice(0, 200)));
	const exited = new Promise((resolve) => {
		child.on('exit', () => { player.events.push('ended'); resolve(); });
		child.on('error', (error) => { player.events.push(String(error)); resolve(); });
	});
	const timer = setInterval(() => player.samples.push({ t: Date.now(), frames }), 100);
	return {
		read: () => ({ samples: player.samples.splice(0), events: player.events.splice(0) }),
		async stop() {
			clearInterval(timer);
			child.kill('SIGKILL');
			await exited;
		},
	};
}
