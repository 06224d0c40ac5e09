// The players, and how a page or a command line starts each.
export const players = [
	{ id: 'mpegts', name: 'mpegts.js', library: 'mpegts.js', config: {} },
	{ id: 'chasing', name: 'mpegts.js, chasing', library: 'mpegts.js', config: { liveBufferLatencyChasing: true, enableStashBuffer: false } },
	{ id: 'websocket', name: 'mpegts.js, WebSocket', library: 'mpegts.js', config: {}, scheme: 'ws' },
	{ id: 'flv', name: 'flv.js', library: 'flv.js', config: {} },
	{ id: 'xgplayer', name: 'xgplayer-flv', library: 'xgplayer', config: {} }, // it has no WebSocket
	{ id: 'ffmpeg', name: 'ffmpeg, RTMP', native: 'ffmpeg', scheme: 'rtmp' },
	{ id: 'ffmpeg-http', name: 'ffmpeg, HTTP', native: 'ffmpeg' },
	{ id: 'gstreamer', name: 'GStreamer, RTMP', native: 'gstreamer', scheme: 'rtmp' },
	{ id: 'gstreamer-http', name: 'GStreamer, HTTP', native: 'gstreamer' },
];
