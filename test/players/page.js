// The page: starts any number of players and notes ten times a second where each is.
const players = new Map();

/** Starts a player of a kind, with a video element of its own. */
function startPlayer(id, { library, url, config }) {
	const box = document.body.appendChild(document.createElement('div'));
	box.style.cssText = 'width:160px;height:120px;display:inline-block';
	const player = { box, samples: [], events: [] };
	players.set(id, player);
	const note = (...words) => player.events.length < 20 && player.events.push(words.map((w) => (typeof w === 'object' ? JSON.stringify(w) : String(w))).join(' ').slice(0, 200));
	if (library === 'xgplayer') {
		box.id = id;
		const P = window.Player;
		const plugin = window.FlvPlayer?.default ?? window.FlvPlayer;
		const it = new P({ id, url, isLive: true, autoplay: true, autoplayMuted: true, width: 160, height: 120, plugins: [plugin], flv: config });
		it.on('error', (e) => note('error', e?.errorCode ?? '', e?.message ?? e));
		player.video = it.media ?? it.video;
		player.stop = () => it.destroy();
	} else {
		const lib = library === 'flv.js' ? window.flvjs : window.mpegts;
		player.video = box.appendChild(document.createElement('video'));
		player.video.muted = true;
		player.video.width = 160;
		const it = lib.createPlayer({ type: 'flv', isLive: true, url }, config);
		it.on(lib.Events.ERROR, (...what) => note('error', ...what));
		it.attachMediaElement(player.video);
		it.load();
		Promise.resolve(it.play()).catch((e) => note('play', e.message));
		player.stop = () => it.destroy();
		player.it = it;
	}
	player.video.addEventListener('ended', () => note('ended'));
	player.video.addEventListener('error', () => note('video', player.video.error?.message));
}

function stopPlayers() {
	for (const player of players.values()) {
		try {
			player.stop();
		} catch {}
		player.box.remove();
	}
	players.clear();
	document.body.replaceChildren();
}

setInterval(() => {
	for (const { video, samples } of players.values()) {
		const { buffered } = video;
		samples.push({
			t: Date.now(),
			position: video.currentTime,
			frames: video.getVideoPlaybackQuality().totalVideoFrames,
			end: buffered.length ? buffered.end(buffered.length - 1) : 0,
			ranges: buffered.length,
		});
	}
}, 100);

/** What was noted of each player since the last call. */
function readPlayers() {
	return Object.fromEntries([...players].map(([id, { samples, events }]) => [id, { samples: samples.splice(0), events: events.splice(0) }]));
}
