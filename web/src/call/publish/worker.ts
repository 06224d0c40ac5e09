// Publishes: takes pictures and sound, encodes both, writes FLV to a WebSocket. In a worker, so
// that a hidden tab goes on at the full rate.
import { stampNal } from "liverelay-sdk/web/stamp";
import { drawCard, drawOff, tone } from "./card.js";
import { TrackClock } from "./clock.js";
import { frameSamples } from "./aac.js";
import * as flv from "./flv.js";
import { PictureEncoder } from "./picture.js";
import type { Order, PictureFormat, PictureSource, Report, SoundSource } from "./protocol.js";
import { Rate, type Word } from "./rate.js";
import { SoundEncoder } from "./sound.js";

const tell = (report: Report): void => postMessage(report);
const now = (): number => performance.now();

const judged = 100; // ms between two looks at the rate
const toneRate = 48000;
/** A camera that is off is a still picture: few of them are enough for players not to wait. */
const offFps = 5;
/**
 * The relay's words come each 500 ms while anything arrives: without one for so long nothing does,
 * ms.
 */
const hush = 1500;
/** A connection that does not open, or a relay that has spoken and says no more, is lost, ms. */
const silence = 8000;
/** … or that does not say, so long after the connection opened, that anything has arrived. */
const firstWord = 20000;
/** A camera that has given no picture after so long gives none, ms. */
const firstPicture = 10000;

let format: PictureFormat = { width: 640, height: 360, fps: 30, kbps: 800 };
let label = "";
/** The server's time less performance.now(). */
let toServer = performance.timeOrigin;
/** What is 0 in the stream, by performance.now(). */
const zero = now();
const rate = new Rate(format.kbps, now());

let socket: WebSocket | undefined;
/** The connection knows the tracks' configuration; a picture needs its keyframe, too. */
let described = { video: false, audio: false, begun: false };
let videoRecord: Uint8Array | undefined;
let audioConfig: { config: Uint8Array; rate: number; channels: number } | undefined;
let flowing = false;
let stuck = false;
const counted = { frames: 0, video: 0, audio: 0 };
const last = { audio: 0, video: 0 };

// The way out

function send(bytes: Uint8Array): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(bytes as Uint8Array<ArrayBuffer>);
}

/** Timestamps of a track never go back. */
function stamp(track: "audio" | "video", time: number): number {
  last[track] = Math.max(last[track], Math.round(time - zero), 0);
  return last[track];
}

/** The start of the byte stream, once both tracks are known or one has been waited for. */
function begin(): boolean {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  if (described.begun) return true;
  if (!videoRecord || (!audioConfig && now() - openedAt < 3000)) return false;
  described.begun = true;
  send(flv.fileHeader());
  send(flv.metadata({ width: picture.width, height: picture.height, framerate: format.fps, videodatarate: rate.kbps, audiosamplerate: audioConfig?.rate ?? toneRate, stereo: audioConfig?.channels === 2 }));
  describeVideo();
  describeAudio();
  picture.wantKey();
  return true;
}

function describeVideo(): void {
  if (!described.begun || !videoRecord) return;
  send(flv.videoHeader(last.video, videoRecord));
}

function describeAudio(): void {
  if (!described.begun || !audioConfig) return;
  described.audio = true;
  send(flv.audioHeader(last.audio, audioConfig.config));
}

let openedAt = 0;
let heardAt = Infinity;
function connect(url: string): void {
  disconnect(1000);
  const mine = (socket = new WebSocket(url));
  heardAt = now();
  mine.onopen = () => {
    openedAt = now();
    heardAt = openedAt + firstWord - silence;
    described = { video: false, audio: false, begun: false };
    rate.begin(now());
    tell({ type: "open" });
    begin();
  };
  mine.onmessage = ({ data }) => {
    if (mine !== socket || typeof data !== "string") return;
    try {
      const word = JSON.parse(data) as Word & { type?: string };
      if (word.type !== "arrived") return;
      heardAt = now();
      rate.word(word, now());
      if ((!flowing || stuck) && (word.video !== undefined || word.audio !== undefined)) {
        flowing = true;
        stuck = false;
        tell({ type: "flowing" });
      }
    } catch {
      // Another server may say other things.
    }
  };
  mine.onclose = ({ code, reason }) => {
    if (mine !== socket) return;
    socket = undefined;
    flowing = stuck = false;
    tell({ type: "closed", code, reason });
  };
}

function disconnect(code: number): void {
  const old = socket;
  socket = undefined;
  flowing = stuck = false;
  old?.close(code);
}

// The picture

const picture = new PictureEncoder(format, {
  config(record) {
    videoRecord = record;
    if (described.begun) describeVideo();
  },
  frame(data, key, time) {
    if (!begin()) return;
    if (!described.video && !key) return;
    if (rate.dropping) {
      described.video = false;
      picture.dropped++;
      return;
    }
    described.video = true;
    const dts = stamp("video", time);
    const nal = stampNal(time + toServer);
    const size = Uint8Array.of(0, 0, 0, nal.length);
    send(flv.video(dts, key, [size, nal, data]));
    rate.send(dts);
    counted.frames++;
    counted.video += data.length;
  },
  failed: (error) => tell({ type: "failed", part: "picture", message: String(error) }),
});

let pictureTurn = 0;
let drawing: ReturnType<typeof setInterval> | undefined;
const pictureClock = new TrackClock(false);

function takePicture(source: PictureSource): void {
  const turn = ++pictureTurn;
  clearInterval(drawing);
  if (source.kind === "frames") return void readFrames(source.frames, turn);
  const canvas = new OffscreenCanvas(format.width, format.height);
  const context = canvas.getContext("2d", { alpha: false })!;
  const draw = source.kind === "card" ? drawCard : drawOff;
  const next = (): void => {
    if (canvas.width !== format.width || canvas.height !== format.height) [canvas.width, canvas.height] = [format.width, format.height];
    const time = now();
    draw(context, time + toServer, label);
    show(canvas);
    takeFrame(new VideoFrame(canvas, { timestamp: Math.round(time * 1000) }), time);
  };
  next();
  drawing = setInterval(next, 1000 / (source.kind === "card" ? format.fps : offFps));
}

async function readFrames(frames: ReadableStream<VideoFrame>, turn: number): Promise<void> {
  const reader = frames.getReader();
  pictureClock.reset();
  const late = setTimeout(() => turn === pictureTurn && tell({ type: "ended", part: "picture", why: "busy" }), firstPicture);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(late);
      if (turn !== pictureTurn) {
        value?.close();
        return void reader.cancel();
      }
      if (done) return tell({ type: "ended", part: "picture", why: "unplugged" });
      const time = pictureClock.time(value.timestamp / 1000, now());
      if (time === undefined) value.close();
      else takeFrame(value, time);
    }
  } catch {
    if (turn === pictureTurn) tell({ type: "ended", part: "picture", why: "unplugged" });
  } finally {
    clearTimeout(late);
  }
}

function takeFrame(frame: VideoFrame, time: number): void {
  // What cannot be sent need not be encoded; and a keyframe begins what can be again.
  if (rate.dropping) {
    picture.wantKey();
    described.video = false;
    return picture.drop(frame);
  }
  // Nothing is encoded for nobody.
  if (socket?.readyState === WebSocket.OPEN) picture.push(frame, time);
  else frame.close();
}

// The preview

let preview: OffscreenCanvasRenderingContext2D | undefined;
function show(canvas: OffscreenCanvas): void {
  if (!preview) return;
  const to = preview.canvas;
  if (to.width !== canvas.width || to.height !== canvas.height) [to.width, to.height] = [canvas.width, canvas.height];
  preview.drawImage(canvas, 0, 0);
}

// The sound

const sound = new SoundEncoder({
  config(config, hz, channels) {
    audioConfig = { config, rate: hz, channels };
    if (described.begun) describeAudio();
    else begin();
  },
  frame(frame, time) {
    if (!begin() || !described.audio) return;
    const dts = stamp("audio", time);
    send(flv.audio(dts, frame));
    rate.send(dts);
    counted.audio += frame.length;
  },
  failed: (error) => tell({ type: "failed", part: "sound", message: String(error) }),
});

let soundTurn = 0;
let sounding: ReturnType<typeof setTimeout> | undefined;
const soundClock = new TrackClock(true);

function takeSound(source: SoundSource): void {
  const turn = ++soundTurn;
  clearTimeout(sounding);
  if (source.kind === "data") return void readSound(source.data, turn);
  let next = Math.floor((now() / 1000) * toneRate); // the first sample that is not made
  const make = (): void => {
    // After sleep there is nothing to make up for.
    if ((now() / 1000) * toneRate - next > toneRate) next = Math.floor((now() / 1000 - 0.1) * toneRate);
    // Whole frames as soon as they are over: what is more or less would wait in the encoder.
    for (; next + frameSamples <= (now() / 1000) * toneRate; next += frameSamples) {
      const since1970 = next + Math.round((toServer / 1000) * toneRate);
      const piece = source.kind === "tone" ? tone(since1970, frameSamples, toneRate) : new Float32Array(frameSamples);
      sound.push(piece, toneRate, 1, (next / toneRate) * 1000);
    }
    sounding = setTimeout(make, Math.ceil(((next + frameSamples) / toneRate) * 1000 - now()));
  };
  make();
}

async function readSound(data: ReadableStream<AudioData>, turn: number): Promise<void> {
  const reader = data.getReader();
  soundClock.reset();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (turn !== soundTurn) {
        value?.close();
        return void reader.cancel();
      }
      if (done) return tell({ type: "ended", part: "sound", why: "unplugged" });
      const time = soundClock.time(value.timestamp / 1000, now());
      if (time !== undefined) sound.push(...interleaved(value), time);
      value.close();
    }
  } catch {
    if (turn === soundTurn) tell({ type: "ended", part: "sound", why: "unplugged" });
  }
}

/** At most two channels: players have no more. */
function interleaved(data: AudioData): [Float32Array, number, number] {
  const channels = Math.min(2, data.numberOfChannels);
  const frames = data.numberOfFrames;
  const out = new Float32Array(frames * channels);
  const plane = new Float32Array(frames);
  for (let c = 0; c < channels; c++) {
    data.copyTo(plane, { planeIndex: c, format: "f32-planar" });
    for (let i = 0; i < frames; i++) out[i * channels + c] = plane[i]!;
  }
  return [out, data.sampleRate, channels];
}

// Rate and figures

let encoderKbps = format.kbps;
const looking = setInterval(() => {
  if (socket && now() - heardAt > silence) {
    disconnect(1000);
    tell({ type: "closed", code: 1006, reason: "no word from the server" });
  }
  if (flowing && !stuck && now() - heardAt > hush) {
    stuck = true;
    tell({ type: "stuck" });
  }
  rate.judge(now(), socket?.bufferedAmount ?? 0);
  // The encoder is told only of what makes a difference.
  if (Math.abs(rate.kbps - encoderKbps) < encoderKbps * 0.03) return;
  encoderKbps = rate.kbps;
  picture.set({ ...format, kbps: encoderKbps });
}, judged);

let reported = now();
const reporting = setInterval(() => {
  const at = now();
  const seconds = (at - reported) / 1000;
  reported = at;
  tell({
    type: "stats",
    stats: {
      width: picture.width,
      height: picture.height,
      fps: counted.frames / seconds,
      videoKbps: (counted.video * 8) / 1000 / seconds,
      audioKbps: (counted.audio * 8) / 1000 / seconds,
      targetKbps: rate.kbps,
      wantedKbps: format.kbps,
      dropped: picture.dropped,
      backlog: rate.backlog,
      level: sound.level,
    },
  });
  counted.frames = counted.video = counted.audio = 0;
}, 1000);

onmessage = ({ data: order }: MessageEvent<Order>) => {
  switch (order.type) {
    case "picture":
      label = order.label;
      return takePicture(order.source);
    case "sound":
      return takeSound(order.source);
    case "format":
      format = order.format;
      encoderKbps = format.kbps;
      rate.want(format.kbps);
      return picture.set(format);
    case "preview":
      preview = order.canvas.getContext("2d", { alpha: false }) ?? undefined;
      return;
    case "language":
      label = order.label;
      return;
    case "clock":
      toServer = performance.timeOrigin + order.offset;
      return;
    case "connect":
      return connect(order.url);
    case "disconnect":
      return disconnect(1000);
    case "stop":
      pictureTurn++;
      soundTurn++;
      for (const timer of [drawing, sounding, looking, reporting]) clearInterval(timer);
      disconnect(1000);
      picture.close();
      sound.close();
      // The close frame is on its way; nothing else keeps the worker.
      setTimeout(close, 500);
  }
};
