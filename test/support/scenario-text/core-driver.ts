// The product's own fold behind the driver's four verbs.

import { nameUuid } from '../../../src/aggregator/name-uuid.ts';
import { decodeDeviceState, encodeDeviceState } from '../../../src/aggregator/state-codec.ts';
import type { FoldOutput } from '../../../src/core/fold-output.ts';
import { FOLD_VERSION, type FoldSettings } from '../../../src/core/fold-settings.ts';
import { partitionForKey } from '../../../src/core/murmur2.ts';
import type { ReadingOutcome } from '../../../src/core/outcome.ts';
import { PartitionFold } from '../../../src/core/partition-fold.ts';
import type { OracleSettings, OracleSetup, ProfilesStep } from '../oracle/fold-steps.ts';
import { replayedReading } from '../replayed-reading.ts';
import type { DriverOutputs, DriverRecord, FoldDriver, FoldDriverKind } from './fold-driver.ts';

/** The oracle's settings in the words of the product. */
export function foldSettingsOf(settings: OracleSettings): FoldSettings {
  return {
    windowSizeMs: settings.windowMs,
    graceMs: settings.graceMs,
    idleMs: settings.idleMs,
    batchSize: settings.batchSize,
    skewMs: settings.skewMs,
    pastLimitMs: settings.pastLimitMs,
    openPartsPerDeviceMax: settings.maxOpenParts,
    devicesPerPartitionMax: settings.maxDevices,
    duplicateOffsets: settings.duplicateOffsets,
    rules: [...settings.rules].sort((a, b) => (a.id < b.id ? -1 : 1)),
    foldVersion: FOLD_VERSION,
  };
}

export class CoreDriver implements FoldDriver {
  #fold: PartitionFold;
  readonly #setup: OracleSetup;
  readonly #seen: [identity: number, offset: number, appendTimeMs: number][] = [];

  constructor(setup: OracleSetup) {
    this.#setup = setup;
    this.#fold = this.#newFold(foldSettingsOf(setup.settings));
  }

  #newFold(settings: FoldSettings): PartitionFold {
    const { partition, readingsTopic: topic = 'telemetry.readings' } = this.#setup;
    return new PartitionFold({ topic, partition, settings, uuid: nameUuid });
  }

  /** What the state topic would hold now: the bytes of every device, sorted by device. */
  stateBytes(): Buffer[] {
    const devices = [...this.#fold.allDevices()].sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1));
    return devices.map(encodeDeviceState);
  }

  /** Drops the fold and makes it anew from what a commit would have written. */
  restart(): void {
    const restored = this.#newFold(this.#fold.settings);
    restored.restoreClock(this.#fold.clockMs);
    for (const [deviceId, profile] of this.#fold.allProfiles) restored.restoreProfile(deviceId, profile);
    for (const bytes of this.stateBytes()) restored.restoreDevice(decodeDeviceState(bytes));
    for (const seen of this.#seen) restored.restoreIdentity(...seen);
    this.#fold = restored;
  }

  record(record: DriverRecord): DriverOutputs {
    return this.#outputs(this.#foldRecord(record));
  }

  tick(P: number): DriverOutputs {
    // Asking first must change nothing: it is what the aggregator does before every tick.
    const isDue = this.#fold.hasDueBy(P);
    this.#fold.tick(P);
    const outputs = this.#outputs(null);
    const wrote = outputs.aggregates.length + outputs.alerts.length > 0;
    if (wrote && !isDue) throw new Error(`hasDueBy(${P}) was false, but the tick wrote something`);
    return outputs;
  }

  settings(settings: OracleSettings): DriverOutputs {
    const before = this.#fold.settings.duplicateOffsets;
    this.#fold.changeSettings(foldSettingsOf(settings));
    // As after a restore: with another reach the table is filled anew from the log.
    if (settings.duplicateOffsets !== before) for (const seen of this.#seen) this.#fold.restoreIdentity(...seen);
    return this.#outputs(null);
  }

  profiles(changes: ProfilesStep['changes']): DriverOutputs {
    this.#fold.changeProfiles(changes);
    return this.#outputs(null);
  }

  #foldRecord(record: DriverRecord): ReadingOutcome {
    const { offset, appendTime, key, reading } = record;
    const reason = reading === null ? 'undecodable' : this.#isOurs(key, reading.deviceId) ? null : 'misrouted';
    if (reason === null) {
      const replayed = replayedReading(reading!, record);
      this.#seen.push([replayed.reading.identity, offset, appendTime]);
      return this.#fold.reading(offset, appendTime, replayed.reading, replayed.firstAppendTimeMs);
    }
    this.#fold.reject(offset, appendTime, reason);
    return reason;
  }

  #isOurs(key: string | null, deviceId: string): boolean {
    return key === deviceId && partitionForKey(Buffer.from(key), this.#setup.partitionCount) === this.#setup.partition;
  }

  #outputs(outcome: ReadingOutcome | null): DriverOutputs {
    const { aggregates, alerts, rejected }: FoldOutput = this.#fold.takeOutput();
    return { aggregates, alerts, deadLetters: rejected, outcome };
  }
}

export const coreDriver: FoldDriverKind = { name: 'core', create: (setup) => new CoreDriver(setup) };
