import { readFileSync } from 'node:fs';
import type { Alert } from '../core/alert-record.ts';
import type { DeviceProfileRecord } from '../core/device-profile-record.ts';
import type { Reading } from '../core/reading.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';

// The schemas that Ingot writes, from the files in schemas/: the only place where a field is added.

export type Compatibility = 'BACKWARD_TRANSITIVE' | 'FULL_TRANSITIVE';

/** One .avsc file and the topic whose values follow it. `Value` is the type of the decoded values. */
export interface OurSchema<Value = unknown> {
  /** Name of the record. */
  readonly name: string;
  /** Path below the project's root. */
  readonly file: string;
  /** Topic without the prefix. */
  readonly topic: string;
  readonly compatibility: Compatibility;
  /** The file's text, which is what gets registered: a schema printed by the Avro library has lost doc and logicalType. */
  readonly text: string;
  /** Never set; carries the type. */
  readonly value?: Value;
}

function fromFile<Value>(schema: Omit<OurSchema, 'text' | 'value'>): OurSchema<Value> {
  return { ...schema, text: readFileSync(new URL(`../../${schema.file}`, import.meta.url), 'utf8') };
}

export const READING_SCHEMA = fromFile<Reading>({
  name: 'SensorReading',
  file: 'schemas/sensor-reading.avsc',
  topic: 'readings',
  compatibility: 'BACKWARD_TRANSITIVE',
});

export const AGGREGATE_SCHEMA = fromFile<WindowAggregate>({
  name: 'WindowAggregate',
  file: 'schemas/window-aggregate.avsc',
  topic: 'aggregates',
  compatibility: 'BACKWARD_TRANSITIVE',
});

export const ALERT_SCHEMA = fromFile<Alert>({
  name: 'Alert',
  file: 'schemas/alert.avsc',
  topic: 'alerts',
  // Readers of alerts are other people's programs: old ones must read new alerts, and new ones old alerts.
  compatibility: 'FULL_TRANSITIVE',
});

export const PROFILE_SCHEMA = fromFile<DeviceProfileRecord>({
  name: 'DeviceProfile',
  file: 'schemas/device-profile.avsc',
  topic: 'devices',
  compatibility: 'BACKWARD_TRANSITIVE',
});

export const OUR_SCHEMAS: readonly OurSchema[] = [READING_SCHEMA, AGGREGATE_SCHEMA, ALERT_SCHEMA, PROFILE_SCHEMA];

/** The subject by the registry's TopicNameStrategy: `telemetry.readings-value`. */
export function subjectOf(schema: Pick<OurSchema, 'topic'>, topicPrefix: string): string {
  return `${topicPrefix}${schema.topic}-value`;
}
