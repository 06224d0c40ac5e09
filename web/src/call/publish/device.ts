// Cameras and microphones, and what can go wrong with them.
import { encoderConfig } from "./picture.js";
import type { PictureFormat } from "./protocol.js";
import type { Part } from "./studio.js";

/** What is missing; each has words and a way on. */
export type Problem =
  /** The page is not from https or localhost: browsers then give neither devices nor encoders. */
  | "insecure"
  /** No WebCodecs, or no way to read a camera with it. */
  | "browser"
  /** No H.264 encoder. */
  | "h264"
  /** The encoder fails at the size that was chosen. */
  | "size"
  /** The sound's encoder does not start. */
  | "aac"
  /** The worker's file does not load. */
  | "worker"
  /** There is no such device. */
  | "missing"
  /** The user or the system does not permit it. */
  | "refused"
  /** Another program has it. */
  | "busy"
  /** It was there. */
  | "unplugged";

declare global {
  /** Chromium; W3C mediacapture-transform. */
  class MediaStreamTrackProcessor {
    constructor(init: { track: MediaStreamTrack; maxBufferSize?: number });
    readonly readable: ReadableStream<VideoFrame | AudioData>;
  }
}

/** Why nothing can be published here; undefined when it can. */
export async function cannotPublish(format: PictureFormat): Promise<Problem | undefined> {
  if (!isSecureContext) return "insecure";
  if (typeof VideoEncoder === "undefined" || typeof MediaStreamTrackProcessor === "undefined" || typeof OffscreenCanvas === "undefined") return "browser";
  const support = await VideoEncoder.isConfigSupported(encoderConfig(format.width, format.height, format)).catch(() => undefined);
  return support?.supported ? undefined : "h264";
}

interface Wanted {
  part: Part;
  deviceId: string;
}

interface Opened {
  tracks: Partial<Record<Part, MediaStreamTrack>>;
  problems: Partial<Record<Part, Problem>>;
}

/**
 * Opens devices: both with one question to the user, each alone where that fails. Never rejects.
 */
export async function openDevices(wanted: Wanted[], format: PictureFormat): Promise<Opened> {
  const opened: Opened = { tracks: {}, problems: {} };
  if (wanted.length === 0) return opened;
  if (!navigator.mediaDevices?.getUserMedia) {
    for (const { part } of wanted) opened.problems[part] = "insecure";
    return opened;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints(wanted, format));
    opened.tracks = { picture: stream.getVideoTracks()[0], sound: stream.getAudioTracks()[0] };
  } catch (error) {
    if (wanted.length === 1) {
      opened.problems[wanted[0]!.part] = problem(error);
      return opened;
    }
    for (const one of wanted) {
      // Who refused both is not asked again.
      if (problem(error) === "refused" && (await permission(one.part)) !== "granted") opened.problems[one.part] = "refused";
      else {
        const alone = await openDevices([one], format);
        Object.assign(opened.tracks, alone.tracks);
        Object.assign(opened.problems, alone.problems);
      }
    }
  }
  return opened;
}

function constraints(wanted: Wanted[], format: PictureFormat): MediaStreamConstraints {
  const out: MediaStreamConstraints = {};
  for (const { part, deviceId } of wanted) {
    const device = deviceId ? { deviceId: { exact: deviceId } } : {};
    if (part === "picture") out.video = { ...device, width: { ideal: format.width }, height: { ideal: format.height }, frameRate: { ideal: format.fps, max: 60 } };
    else out.audio = { ...device, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  }
  return out;
}

async function permission(part: Part): Promise<string> {
  try {
    return (await navigator.permissions.query({ name: (part === "picture" ? "camera" : "microphone") as PermissionName })).state;
  } catch {
    return "unknown";
  }
}

/** Names: W3C mediacapture-main, getUserMedia. */
function problem(error: unknown): Problem {
  switch ((error as DOMException)?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "refused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
  }
  return "busy";
}
