import { formatDuration } from '../core/duration-text.ts';
import type { FoldSettings } from '../core/fold-settings.ts';
import type { ReadingRejectReason } from '../core/outcome.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { attemptOf, firstAppendTimeOf } from '../core/replay-headers.ts';
import { traceContextOfHeaders } from '../core/trace-context.ts';
import type { RefusedRecord } from './slice-writer.ts';

/** What a refused reading said, as far as it could be read. */
export interface RefusedTimes {
  readonly eventTimeMs: number;
  readonly appendTimeMs: number;
  /** The append time, unless this is a replayed dead letter. */
  readonly firstAppendTimeMs: number;
}

/** Why exactly a reading was refused, in one sentence for the dead letter. `times` is null when there is no decoded reading. */
export function refusalDetail(reason: ReadingRejectReason, times: RefusedTimes | null, settings: FoldSettings): string {
  switch (reason) {
    case 'undecodable':
      return 'the value is not a SensorReading under a schema of the registry, or has an id, a time or a number that no reading may have';
    case 'misrouted':
      return 'the key is not the device id, or hashes to another partition';
    case 'state_limit':
      return `the partition already remembers ${settings.devicesPerPartitionMax} devices`;
    case 'future':
      return times === null
        ? ''
        : `event time ${distance(times.eventTimeMs, times.appendTimeMs)} after the append time; ${formatDuration(settings.skewMs)} is allowed`;
    case 'ancient':
      return times === null
        ? ''
        : `event time ${distance(times.eventTimeMs, times.firstAppendTimeMs)} before the append time; ${formatDuration(settings.pastLimitMs ?? Number.POSITIVE_INFINITY)} is allowed`;
  }
}

/** The record that the reader stands on, for the dead letters; its bytes are those of the answer. */
export function refusedRecord(reader: RecordReader, reason: ReadingRejectReason, detail: string): RefusedRecord {
  const { offset, buffer, keyStart, keyEnd, valueStart, valueEnd } = reader;
  const key = keyStart < 0 ? null : buffer.subarray(keyStart, keyEnd);
  const value = valueStart < 0 ? null : buffer.subarray(valueStart, valueEnd);
  const headers = reader.headers();
  const firstAppendTimeMs = firstAppendTimeOf(headers, reader.timestampMs);
  const trace = traceContextOfHeaders(headers);
  return { offset, reason, detail, key, value, firstAppendTimeMs, attempt: attemptOf(headers), trace };
}

function distance(eventTimeMs: number, appendTimeMs: number): string {
  return `${new Date(eventTimeMs).toISOString()} is ${formatDuration(Math.abs(eventTimeMs - appendTimeMs))}`;
}
