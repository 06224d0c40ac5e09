// What the AAC encoder uses of mediabunny, whose other 44 KB it does not need: the build puts this
// in its place.

/** A way to encode, made by the one who asked for it. */
export abstract class CustomAudioEncoder {
  declare codec: string;
  declare config: AudioEncoderConfig;
  declare onPacket: (packet: EncodedPacket, meta?: EncodedAudioChunkMetadata) => unknown;
  abstract init(): Promise<void>;
  abstract encode(sample: Sample): Promise<void>;
  abstract close(): void;
}

/** Interleaved 32-bit samples. */
export interface Sample {
  /** Seconds. */
  timestamp: number;
  numberOfFrames: number;
  allocationSize(): number;
  copyTo(to: Uint8Array): void;
}

/** A frame of AAC. */
export class EncodedPacket {
  constructor(
    readonly data: Uint8Array,
    readonly type: "key",
    readonly timestamp: number,
    readonly duration: number,
  ) {}
}

/** The encoder that was registered. */
export const registered: { encoder?: new () => CustomAudioEncoder } = {};

export function registerEncoder(encoder: new () => CustomAudioEncoder): void {
  registered.encoder = encoder;
}

export const Logging = { _error: (text: string): void => console.error(text) };
