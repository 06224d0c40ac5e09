// What this browser can do, asked before anything is played.
import { typical } from "./codec.js";
import type { WebPlayerReason } from "./type.js";

export type Way = "webcodecs" | "mse" | "webrtc";

/** The first of some ways that has these codecs ("": no such track), or why there is none. */
export async function choose(video: string, audio: string, ways: Way[]): Promise<{ way: Way; silent: boolean } | { reason: WebPlayerReason }> {
  let known = false;
  let partial: { way: Way; silent: boolean } | undefined;
  for (const way of ways) {
    const can = { webcodecs, mse, webrtc }[way];
    if (!can.there()) continue;
    known = true;
    if (video && !(await can.video(video))) continue;
    if (!audio || (await can.audio(audio))) return { way, silent: false };
    if (video) partial ??= { way, silent: true };
  }
  return partial ?? { reason: !known ? "browser" : video ? "codec-video" : "codec-audio" };
}

const webcodecs = {
  // Only secure contexts have it: https, or this machine.
  there: () => typeof VideoDecoder === "function" && typeof AudioDecoder === "function" && typeof AudioWorkletNode === "function",
  video: (codec: string) => asked(() => VideoDecoder.isConfigSupported({ codec: typical[codec] ?? codec })),
  audio: (codec: string) => asked(() => AudioDecoder.isConfigSupported({ codec: typical[codec] ?? codec, sampleRate: 48000, numberOfChannels: 2 })),
};

async function asked(ask: () => Promise<{ supported?: boolean }>): Promise<boolean> {
  try {
    return (await ask()).supported === true;
  } catch {
    return false; // a name that it does not know
  }
}

interface Source {
  isTypeSupported(type: string): boolean;
}

function source(): Source | undefined {
  const { MediaSource, ManagedMediaSource } = globalThis as { MediaSource?: Source; ManagedMediaSource?: Source };
  return MediaSource ?? ManagedMediaSource;
}

const mse = {
  there: () => source() !== undefined,
  video: (codec: string) => Promise.resolve(source()!.isTypeSupported(`video/mp4; codecs="${typical[codec] ?? codec}"`)),
  audio: (codec: string) => Promise.resolve(source()!.isTypeSupported(`audio/mp4; codecs="${typical[codec] ?? codec}"`)),
};

const webrtc = {
  there: () => typeof RTCPeerConnection === "function",
  video: (codec: string) => Promise.resolve(codec === "avc1" && (globalThis.RTCRtpReceiver?.getCapabilities?.("video")?.codecs.some((c) => c.mimeType === "video/H264") ?? true)),
  // AAC comes as Opus.
  audio: (codec: string) => Promise.resolve(codec === "mp4a" || codec === "Opus"),
};
