import { parseDuration } from '../../config/duration.ts';
import { IngotError } from '../../errors.ts';
import type { LogAdmin } from '../../kafka/log-port.ts';
import type { StringFlag } from '../command.ts';

// `--since` and `--until`: where in a topic to begin and to end.

export type Since = { readonly kind: 'beginning' } | { readonly kind: 'now' } | { readonly kind: 'time'; readonly timeMs: number };

export function sinceFlag(fallback: string) {
  return {
    kind: 'string',
    default: fallback,
    placeholder: 'WHEN',
    help: 'Begin with what was written since then: 10m, 2h, 2026-08-01T10:00:00Z, beginning or now.',
  } as const satisfies StringFlag;
}

export const UNTIL_FLAG = {
  kind: 'string',
  placeholder: 'WHEN',
  help: 'End with what was written until then, in the forms of --since; nothing more is waited for.',
} as const satisfies StringFlag;

const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/;

/** `nowMs`: epoch ms. IngotError `USAGE` when the text is none of the forms; `flag` is named in it. A time without a zone is UTC. */
export function parseSince(text: string, nowMs: number, flag = '--since'): Since {
  if (text === 'beginning' || text === 'now') return { kind: text };
  const spanMs = parseDuration(text);
  if (spanMs !== undefined) return { kind: 'time', timeMs: nowMs - spanMs };
  const isLocal = /T[^Z+-]*$/.test(text);
  const timeMs = ISO_TIME.test(text) ? Date.parse(isLocal ? `${text}Z` : text) : Number.NaN;
  if (Number.isFinite(timeMs)) return { kind: 'time', timeMs };
  throw new IngotError(
    'USAGE',
    `${flag}: given ${JSON.stringify(text)}; allowed is a duration such as 10m or 2h, a time such as 2026-08-01T10:00:00Z, beginning, or now.`,
  );
}

/** Epoch ms; null when everything is wanted. IngotError `USAGE` when the text is none of the forms, or the time is not after `since`. */
export function parseUntil(text: string | undefined, since: Since, nowMs: number): number | null {
  if (text === undefined) return null;
  const until = parseSince(text, nowMs, '--until');
  const untilMs = until.kind === 'time' ? until.timeMs : until.kind === 'now' ? nowMs : 0;
  const sinceMs = since.kind === 'time' ? since.timeMs : since.kind === 'now' ? nowMs : -1;
  if (untilMs > sinceMs) return untilMs;
  throw new IngotError('USAGE', `--until: given ${JSON.stringify(text)}, which is not after --since; give an earlier --since too.`);
}

/** The offset to begin with, per partition. */
export async function offsetsSince(admin: LogAdmin, topic: string, since: Since): Promise<readonly number[]> {
  if (since.kind === 'time') return admin.offsetsAtTime(topic, since.timeMs);
  const watermarks = await admin.watermarks(topic);
  return watermarks.map((marks) => (since.kind === 'beginning' ? marks.logStartOffset : marks.highWatermark));
}
