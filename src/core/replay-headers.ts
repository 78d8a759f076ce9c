// What the replay of a dead letter says about the record that it appends to the readings, in headers, so that the original bytes stay as
// they were. Anybody may write these headers, so the fold believes them only within bounds (docs/FOLD.md, "A reading").

/** When the reading was appended to Kafka for the first time, epoch ms in decimal: a letter must not be refused for having waited. */
export const FIRST_APPEND_TIME_HEADER = 'first-append-time';
/** The identity that takes the place of the reading's own, in decimal: that one is known already, since the letter was refused. */
export const REPLAY_IDENTITY_HEADER = 'replay-identity';
/** How often the reading has been tried, this time included. */
export const ATTEMPT_HEADER = 'attempt';

/** No letter waits longer: beyond this a header is taken for a mistake, or for an attempt to write into any year. */
export const REPLAY_WAIT_MAX_MS = 60 * 86_400_000;

const DECIMAL = /^[1-9][0-9]{0,15}$/;
const ATTEMPT_MAX = 999;

/** Headers of a record by name, as `RecordReader.headers` gives them. */
export type HeaderValues = ReadonlyMap<string, Buffer>;

/** The first append time of a record that was appended at `appendTimeMs`: that of its header when it can be true, else its own. */
export function firstAppendTimeOf(headers: HeaderValues, appendTimeMs: number): number {
  const claimedMs = wholeNumber(headers, FIRST_APPEND_TIME_HEADER);
  if (claimedMs === null || claimedMs > appendTimeMs || claimedMs < appendTimeMs - REPLAY_WAIT_MAX_MS) return appendTimeMs;
  return claimedMs;
}

/** The identity that a replay has given the record, 1 to 2^53 - 1; null when it has none. */
export function replayIdentityOf(headers: HeaderValues): number | null {
  return wholeNumber(headers, REPLAY_IDENTITY_HEADER);
}

/** How often the record's reading has been tried, at least 1. */
export function attemptOf(headers: HeaderValues): number {
  return Math.min(wholeNumber(headers, ATTEMPT_HEADER) ?? 1, ATTEMPT_MAX);
}

function wholeNumber(headers: HeaderValues, name: string): number | null {
  const text = headers.get(name)?.toString('latin1');
  if (text === undefined || !DECIMAL.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}
