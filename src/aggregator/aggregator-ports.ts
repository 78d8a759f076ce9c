import type { Alert, NameToUuid } from '../core/alert-record.ts';
import type { DeviceProfileRecord } from '../core/device-profile-record.ts';
import type { FoldSettings } from '../core/fold-settings.ts';
import type { Reading } from '../core/reading.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';
import type { FetchLoop, GroupMembership, LogAdmin, TransactionLane } from '../kafka/log-port.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import type { CommitPace } from './pacing.ts';

/** Rows into the wire format. Each call returns a view that the next one overwrites. */
export interface RowEncoders {
  aggregate(row: WindowAggregate): Buffer;
  alert(alert: Alert): Buffer;
}

/** The topics of the aggregator; all have the same number of partitions. */
export interface AggregatorTopics {
  readonly readings: string;
  readonly aggregates: string;
  readonly alerts: string;
  readonly readingsDlq: string;
  readonly state: string;
  readonly journal: string;
  /** Profiles of devices: read, never written. */
  readonly devices: string;
}

/** What one process brings along: its wish for the settings, decided per partition after the restore. */
export interface WantedSettings {
  readonly version: number;
  readonly startedAtMs: number;
  readonly settings: FoldSettings;
}

/** Everything that the tasks of one process share. */
export interface AggregatorContext {
  readonly groupId: string;
  readonly topics: AggregatorTopics;
  readonly partitions: number;
  readonly wanted: WantedSettings;
  readonly decoder: ValueDecoder<Reading>;
  readonly encoders: RowEncoders;
  readonly uuid: NameToUuid;
  readonly admin: LogAdmin;
  /** Reads the input: a long poll while idle. */
  readonly input: FetchLoop;
  /** Reads state and identities at restore: does not wait for more. */
  readonly restore: FetchLoop;
  /** Reads profiles while partitions run: a long poll while nothing changes. */
  readonly profiles: FetchLoop;
  readonly profileDecoder: ValueDecoder<DeviceProfileRecord>;
  readonly membership: GroupMembership;
  /** A lane under the transactional id of a partition. */
  readonly openLane: (partition: number) => TransactionLane;
  readonly acceptLoss: boolean;
  readonly pace: CommitPace;
}
