import type { Reading } from '../../src/core/reading.ts';
import { firstAppendTimeOf, replayIdentityOf } from '../../src/core/replay-headers.ts';

/** A reading as the product's fold takes it, with what the headers of its record say. */
export function replayedReading(
  reading: Reading,
  { appendTime, headers = {} }: { appendTime: number; headers?: Readonly<Record<string, string>> | undefined },
): { reading: Reading; firstAppendTimeMs: number } {
  const values = new Map(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));
  const identity = replayIdentityOf(values) ?? reading.identity;
  return { reading: { ...reading, identity }, firstAppendTimeMs: firstAppendTimeOf(values, appendTime) };
}
