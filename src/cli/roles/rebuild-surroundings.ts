import { join } from 'node:path';
import { nameUuid } from '../../aggregator/name-uuid.ts';
import type { RebuildContext } from '../../aggregator/rebuild-partition.ts';
import { READING_REUSE } from '../../aggregator/routed-reading.ts';
import type { Config } from '../../config/settings-table.ts';
import { IngotError } from '../../errors.ts';
import type { LogClient } from '../../kafka/log-port.ts';
import { topicNames } from '../../kafka/topics.ts';
import { ALERT_SCHEMA, READING_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { aggregatorTopics } from './aggregator-role.ts';
import { connectLog, requireTopics } from './connect-log.ts';
import { registryAddress } from './connect-registry.ts';
import { aggregatorGroupId } from './consumer-groups.ts';

// Constructs what a rebuild of the state needs.

/** A state may be large, and is written in one transaction. Kafka allows 15 minutes. */
const TRANSACTION_TIMEOUT_MS = 300_000;
const READ_BYTES_PER_PARTITION = 4 * 1024 * 1024;
const SESSION_TIMEOUT_MS = 30_000;
const STOP_DEADLINE_MS = 5_000;

/** Runs `rebuild` while this process holds the aggregator's group alone. IngotError `AGGREGATOR_RUNNING` when it does not. */
export async function withRebuildContext<Result>(config: Config, rebuild: (context: RebuildContext) => Promise<Result>): Promise<Result> {
  const { topicPrefix, clientId } = config.kafka;
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: false },
    topicPrefix,
    storeFile: join(config.instance.dataFolder, 'schemas-aggregator.json'),
  });
  const log = connectLog(config, `${clientId}-rebuild`);
  const admin = log.admin();
  try {
    const partitions = await requireTopics(admin, topicPrefix);
    const topics = aggregatorTopics(topicNames(topicPrefix));
    const groupId = aggregatorGroupId(config);
    const context: RebuildContext = {
      groupId,
      topics,
      partitions,
      decoder: codecs.openDecoder(READING_SCHEMA, READING_REUSE),
      alertDecoder: codecs.openDecoder(ALERT_SCHEMA),
      uuid: nameUuid,
      admin,
      restore: log.fetchLoop({ name: 'rebuild', maxWaitMs: 1, maxBytesPerPartition: READ_BYTES_PER_PARTITION, isolation: 'committed' }),
      openLane: (partition) =>
        log.transactionLane({ transactionalId: `${topicPrefix}aggregator-${partition}`, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }),
    };
    return await asOnlyMember(log, { groupId, topic: topics.readings, partitions }, () => rebuild(context));
  } finally {
    await admin.close();
    await log.close();
  }
}

/**
 * Joins the group: whoever is given all partitions is alone in it. One that was killed a moment ago is waited for until its session ends.
 * Safety does not depend on this, because each partition is fenced; but an aggregator that runs would fence us in turn.
 */
async function asOnlyMember<Result>(
  log: LogClient,
  group: { groupId: string; topic: string; partitions: number },
  work: () => Promise<Result>,
): Promise<Result> {
  const { groupId, topic, partitions } = group;
  const membership = log.membership({ groupId, topic, sessionTimeoutMs: SESSION_TIMEOUT_MS, evictOwnClientId: false });
  let assigned: readonly number[] = [];
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const onAssigned = (ours: readonly number[]): void => {
    assigned = ours;
  };
  try {
    await Promise.race([membership.start({ onAssigned, onFailed: reject }), failed]);
    if (assigned.length < partitions) {
      throw new IngotError('AGGREGATOR_RUNNING', `An aggregator of group ${groupId} is running. Stop it, then rebuild its state.`);
    }
    return await Promise.race([work(), failed]);
  } finally {
    await membership.stop(STOP_DEADLINE_MS);
  }
}
