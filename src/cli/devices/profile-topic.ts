import type { Config } from '../../config/settings-table.ts';
import type { DeviceProfile } from '../../core/device-profile.ts';
import { type DeviceProfileRecord, profileOfRecord, profileProblem, recordOfProfile } from '../../core/device-profile-record.ts';
import { partitionForKey } from '../../core/murmur2.ts';
import { RecordsEncoder } from '../../core/record-batch.ts';
import type { LogClient } from '../../kafka/log-port.ts';
import { topicNames } from '../../kafka/topics.ts';
import { PROFILE_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs, type SchemaCodecs } from '../../registry/schema-codecs.ts';
import { connectLog, requireTopics } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import { readTopics } from '../tail/read-topics.ts';
import { decodeRecord, placeText } from '../tail/tail-command.ts';

// The devices topic as the commands see it: the newest profile per device.

export interface StoredProfile {
  readonly deviceId: string;
  readonly profile: DeviceProfile;
  /** Epoch ms; 0 when its writer did not say. */
  readonly updatedAtMs: number;
}

const REGISTRY_DEADLINE_MS = 15_000;
const CLOSE_DEADLINE_MS = 5_000;

export class ProfileTopic {
  private readonly log: LogClient;
  private readonly codecs: SchemaCodecs;
  private readonly config: Config;
  private readonly signal: AbortSignal;
  /** What could not be read: told to the user, not hidden. */
  readonly problems: string[] = [];

  private constructor(options: { log: LogClient; codecs: SchemaCodecs; config: Config; signal: AbortSignal }) {
    this.log = options.log;
    this.codecs = options.codecs;
    this.config = options.config;
    this.signal = options.signal;
  }

  /** Close it afterwards. */
  static async open(config: Config, signal: AbortSignal): Promise<ProfileTopic> {
    const codecs = await openSchemaCodecs({
      registry: { ...registryAddress(config), autoRegister: config.registry.autoRegister },
      topicPrefix: config.kafka.topicPrefix,
      deadlineMs: REGISTRY_DEADLINE_MS,
      signal,
    });
    return new ProfileTopic({ log: connectLog(config, `${config.kafka.clientId}-cli`), codecs, config, signal });
  }

  private get topic(): string {
    return topicNames(this.config.kafka.topicPrefix).deviceProfiles;
  }

  /** Every profile as it is now, by device id. */
  async readAll(): Promise<ReadonlyMap<string, StoredProfile>> {
    const decoder = this.codecs.openDecoder(PROFILE_SCHEMA);
    const stored = new Map<string, StoredProfile>();
    const from = { topics: [this.topic], since: { kind: 'beginning' }, follow: false, signal: this.signal } as const;
    for await (const record of readTopics(this.log, from)) {
      if (record.key === null) continue;
      if (record.value === null) {
        stored.delete(record.key);
        continue;
      }
      const decoded = await decodeRecord(decoder, record);
      const problem = decoded.kind === 'value' ? problemOf(record.key, decoded.value) : decoded.detail;
      if (decoded.kind === 'value' && problem === null) {
        const { updatedAt: updatedAtMs } = decoded.value;
        stored.set(record.key, { deviceId: record.key, profile: profileOfRecord(decoded.value), updatedAtMs });
      } else {
        this.problems.push(`${placeText(record)} is left out, here and by the aggregator: ${problem}`);
      }
    }
    return new Map([...stored].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Resolves when Kafka has acknowledged it. null takes the profile away. */
  async write(deviceId: string, profile: DeviceProfile | null): Promise<void> {
    const admin = this.log.admin();
    const partitions = await requireTopics(admin, this.config.kafka.topicPrefix).finally(() => admin.close());
    const nowMs = Date.now();
    const value = profile === null ? null : await this.encode(recordOfProfile(deviceId, profile, nowMs));
    const encoder = new RecordsEncoder(1024);
    encoder.reset(nowMs);
    encoder.add(Buffer.from(deviceId), value, nowMs);
    const at = { topic: this.topic, partition: partitionForKey(Buffer.from(deviceId), partitions) };
    const lane = this.log.produceLane({ name: 'devices', acks: 'all' });
    try {
      await lane.send([{ ...at, records: encoder.take(), count: encoder.count, baseTimestampMs: nowMs }]);
    } finally {
      await lane.close(CLOSE_DEADLINE_MS);
    }
  }

  private async encode(record: DeviceProfileRecord): Promise<Buffer> {
    return Buffer.from((await this.codecs.openEncoder(PROFILE_SCHEMA)).encode(record));
  }

  async close(): Promise<void> {
    await this.log.close();
  }
}

function problemOf(key: string, record: DeviceProfileRecord): string | null {
  return record.deviceId === key ? profileProblem(record) : `its key is ${key}, and it is about ${record.deviceId}`;
}
