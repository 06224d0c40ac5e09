// The relay under test, a program of its own, and a way to it that can be stopped up.
import { spawn } from 'node:child_process';
import { createConnection, createServer } from 'node:net';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** So many ports that nobody uses: held at the same time, else one may come twice. */
async function freePorts(count) {
	const servers = Array.from({ length: count }, () => createServer());
	for (const server of servers) await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const ports = servers.map((server) => server.address().port);
	for (const server of servers) await new Promise((resolve) => server.close(resolve));
	return ports;
}

export async function startRelay(program) {
	const folder = mkdtempSync(join(tmpdir(), 'liverelay-players-'));
	const [rtmp, http, admin] = await freePorts(3);
	const config = join(folder, 'config.yaml');
	writeFileSync(config, `apps:\n  - {name: live, id: 1, secret: "0123456789abcdef0123456789abcdef", publish: open, play: open, takeover: any}
rtmp: {listen: "127.0.0.1:${rtmp}"}\nhttp: {listen: "127.0.0.1:${http}"}\nadmin: {listen: "127.0.0.1:${admin}"}\n`);
	let output = '';
	const child = spawn(program, ['serve', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'] });
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
	const exited = new Promise((resolve) => child.on('exit', resolve));
	for (let tries = 0; ; tries++) {
		if (await fetch(`http://127.0.0.1:${admin}/readyz`).then((r) => r.ok, () => false)) break;
		if (tries > 300) throw new Error(`relay is not ready:\n${output}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	return {
		folder, rtmp, http,
		output: () => output,
		async stop() {
			child.kill('SIGTERM');
			await exited;
		},
	};
}

/** A way to a port: while it is stopped up, nothing is read from there. */
export async function startPipe(port) {
	const pairs = new Set();
	const server = createServer((near) => {
		const far = createConnection(port, '127.0.0.1');
		const pair = [near, far];
		pairs.add(pair);
		for (const [a, b] of [[near, far], [far, near]]) {
			a.pipe(b);
			a.on('error', () => b.destroy());
			a.on('close', () => { b.destroy(); pairs.delete(pair); });
		}
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	return {
		port: server.address().port,
		stopUp(yes) {
			for (const [near, far] of pairs) {
				if (yes) far.unpipe(near), far.pause();
				else far.pipe(near), far.resume();
			}
		},
		close() {
			for (const pair of pairs) for (const socket of pair) socket.destroy();
			server.close();
		},
	};
}
