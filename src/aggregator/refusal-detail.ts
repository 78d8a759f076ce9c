import { formatDuration } from '../core/duration-text.ts';
import type { FoldSettings } from '../core/fold-settings.ts';
import type { ReadingRejectReason } from '../core/outcome.ts';

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

function distance(eventTimeMs: number, appendTimeMs: number): string {
  return `${new Date(eventTimeMs).toISOString()} is ${formatDuration(Math.abs(eventTimeMs - appendTimeMs))}`;
}
