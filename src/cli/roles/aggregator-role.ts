import { join } from 'node:path';
import { type Aggregator, createAggregator } from '../../aggregator/aggregator.ts';
import type { AggregatorContext, AggregatorTopics, WantedSettings } from '../../aggregator/aggregator-ports.ts';
import { nameUuid } from '../../aggregator/name-uuid.ts';
import { DEFAULT_PACE } from '../../aggregator/pacing.ts';
import { READING_REUSE } from '../../aggregator/routed-reading.ts';
import { readRulesFile } from '../../config/rules-file.ts';
import type { Config } from '../../config/settings-table.ts';
import { highTemperatureRule } from '../../core/alert-rule.ts';
import { FOLD_VERSION, type FoldSettings } from '../../core/fold-settings.ts';
import type { FetchLoop, LogClient } from '../../kafka/log-port.ts';
import { type TopicNames, topicNames } from '../../kafka/topics.ts';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA, PROFILE_SCHEMA, READING_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { awaitTopics, connectLog } from './connect-log.ts';
import { registryAddress } from './connect-registry.ts';
import { aggregatorGroupId } from './consumer-groups.ts';

// Constructs the aggregator of this process from the configuration.

/** Bounds of the state, and how far back duplicates are known. They are part of the settings record. */
const OPEN_PARTS_PER_DEVICE_MAX = 64;
const DEVICES_PER_PARTITION_MAX = 1_000_000;
export const DUPLICATE_OFFSETS = 65_536;

const SESSION_TIMEOUT_MS = 10_000;
/** A dead owner's open transaction holds read_committed readers back for at most this long. */
const TRANSACTION_TIMEOUT_MS = 30_000;
const INPUT_LONG_POLL_MS = 100;
const PROFILES_LONG_POLL_MS = 500;
const INPUT_BYTES_PER_PARTITION = 512 * 1024;
const RESTORE_BYTES_PER_PARTITION = 4 * 1024 * 1024;

/** What the fold is to run with, as the configuration says it. IngotError `CONFIG_INVALID` when the rules file is not valid. */
export function foldSettings(config: Config): FoldSettings {
  const { window, alerts } = config;
  const rules =
    alerts.rulesFile === null ? [highTemperatureRule(alerts.thresholdCelsius, alerts.deadbandCelsius)] : readRulesFile(alerts.rulesFile);
  return {
    windowSizeMs: window.sizeMs,
    graceMs: window.graceMs,
    idleMs: window.idleMs,
    batchSize: window.batchSize,
    skewMs: window.skewMs,
    pastLimitMs: Number.isFinite(window.pastLimitMs) ? window.pastLimitMs : null,
    openPartsPerDeviceMax: OPEN_PARTS_PER_DEVICE_MAX,
    devicesPerPartitionMax: DEVICES_PER_PARTITION_MAX,
    duplicateOffsets: DUPLICATE_OFFSETS,
    rules,
    foldVersion: FOLD_VERSION,
  };
}

export interface AggregatorRole extends RunningRole {
  readonly aggregator: Aggregator;
}

/** Starts the aggregator. Rejects with what keeps it from starting; then nothing of it is left running. */
export async function startAggregatorRole(surroundings: RoleSurroundings, options: { acceptLoss: boolean }): Promise<AggregatorRole> {
  const { config, instance, health } = surroundings;
  const { topicPrefix, clientId } = config.kafka;
  const wanted: WantedSettings = { version: config.window.settingsVersion, startedAtMs: Date.now(), settings: foldSettings(config) };
  const kafka = health.dependency('kafka');
  const registry = health.dependency('registry');
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: config.registry.autoRegister },
    topicPrefix,
    storeFile: join(config.instance.dataFolder, 'schemas-aggregator.json'),
    unknownPatienceMs: config.registry.unknownPatienceMs,
  });
  const aggregates = await codecs.openEncoder(AGGREGATE_SCHEMA);
  const alerts = await codecs.openEncoder(ALERT_SCHEMA);
  // The aggregator only reads profiles; where nobody registers schemas by hand, `ingot devices set` finds this one all the same.
  if (config.registry.autoRegister) await codecs.openEncoder(PROFILE_SCHEMA);
  registry.up();
  const log = connectLog(config, `${clientId}-aggregator-${instance.id}`);
  try {
    const admin = log.admin();
    const partitions = await awaitTopics(admin, topicPrefix);
    kafka.up();
    const topics = topicNames(topicPrefix);
    const groupId = aggregatorGroupId(config);
    const aggregator = createAggregator({
      groupId,
      topics: aggregatorTopics(topics),
      partitions,
      wanted,
      decoder: codecs.openDecoder(READING_SCHEMA, READING_REUSE),
      encoders: { aggregate: (row) => aggregates.encode(row), alert: (alert) => alerts.encode(alert) },
      uuid: nameUuid,
      admin,
      ...fetchLoops(log),
      profileDecoder: codecs.openDecoder(PROFILE_SCHEMA),
      membership: log.membership({
        groupId,
        topic: topics.readings,
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        evictOwnClientId: instance.isExclusive,
      }),
      openLane: (partition) =>
        log.transactionLane({ transactionalId: `${topicPrefix}aggregator-${partition}`, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }),
      acceptLoss: options.acceptLoss,
      pace: DEFAULT_PACE,
    });
    await aggregator.start();
    return {
      aggregator,
      ended: aggregator.failed.then((error) => Promise.reject(error)),
      drainSteps: [
        { name: 'aggregator', stop: (remainingMs) => aggregator.stop(remainingMs) },
        { name: 'aggregator log', stop: () => log.close() },
      ],
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

export function aggregatorTopics(topics: TopicNames): AggregatorTopics {
  return {
    readings: topics.readings,
    aggregates: topics.aggregates,
    alerts: topics.alerts,
    readingsDlq: topics.readingDeadLetters,
    state: topics.aggregatorState,
    journal: topics.aggregatorJournal,
    devices: topics.deviceProfiles,
  };
}

function fetchLoops(log: LogClient): Pick<AggregatorContext, 'input' | 'restore' | 'profiles'> {
  const loop = (name: string, maxWaitMs: number, maxBytesPerPartition: number): FetchLoop =>
    log.fetchLoop({ name, maxWaitMs, maxBytesPerPartition, isolation: 'committed', reusesMemory: name === 'input' });
  return {
    input: loop('input', INPUT_LONG_POLL_MS, INPUT_BYTES_PER_PARTITION),
    restore: loop('restore', 1, RESTORE_BYTES_PER_PARTITION),
    profiles: loop('profiles', PROFILES_LONG_POLL_MS, INPUT_BYTES_PER_PARTITION),
  };
}
