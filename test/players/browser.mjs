// Headless Chromium with all web players in one page.
import { createServer } from 'node:http';
import { readFileSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const module = (path) => join(here, 'node_modules', path);
const scripts = {
	'/mpegts.js': module('mpegts.js/dist/mpegts.js'),
	'/flv.js': module('flv.js/dist/flv.min.js'),
	'/xgplayer.js': module('xgplayer/dist/index.min.js'),
	'/xgplayer-flv.js': module('xgplayer-flv/dist/index.min.js'),
	'/page.js': join(here, 'page.js'),
};
const html = `<!doctype html><meta charset=utf-8><link rel=icon href="data:,"><body></body>${Object.keys(scripts).map((s) => `<script src=${s}></script>`).join('')}`;

export const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));

/** Opens the page; the result starts, reads and stops players in it. */
export async function openBrowser() {
	const server = createServer((request, reply) => {
		const file = scripts[request.url];
		reply.writeHead(file || request.url === '/' ? 200 : 404, { 'content-type': file ? 'text/javascript' : 'text/html' });
		reply.end(file ? readFileSync(file) : html);
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const browser = await chromium.launch({
		executablePath: executable,
		args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--mute-audio', '--autoplay-policy=no-user-gesture-required'],
	});
	const page = await browser.newPage();
	await page.goto(`http://127.0.0.1:${server.address().port}/`);
	return {
		version: browser.version(),
		start: (all) => page.evaluate((all) => all.forEach((p) => startPlayer(p.id, p)), all),
		read: () => page.evaluate(() => readPlayers()),
		stop: () => page.evaluate(() => stopPlayers()),
		async close() {
			await browser.close();
			server.closeAllConnections();
			server.close();
		},
	};
}
const version = (name) => JSON.parse(readFileSync(createRequire(import.meta.url).resolve(module(`${name}/package.json`)))).version;
export const versions = () => ['mpegts.js', 'flv.js', 'xgplayer-flv'].map((name) => `${name} ${version(name)}`);
