/** As much of a payload as is kept when it is over the limit. */
export const EXCERPT_BYTES = 4096;

/** What is known of a payload of which only the first `EXCERPT_BYTES` were kept. */
export interface CutPayload {
  /** Of the whole. */
  readonly payloadBytes: number;
  /** Of the whole, in hex. */
  readonly sha256: string;
}
