import { join } from 'node:path';
import { topicNames } from '../../kafka/topics.ts';
import { noticeBroker } from '../../mqtt/notice-broker.ts';
import { AlertNotices } from '../../notices/alert-notices.ts';
import { log as processLog } from '../../ops/log.ts';
import { ALERT_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { awaitTopics, connectLog } from './connect-log.ts';
import { mqttAddress } from './connect-mqtt.ts';
import { registryAddress } from './connect-registry.ts';

// Constructs the alert notices of this process from the configuration.

const LONG_POLL_MS = 250;
const BYTES_PER_PARTITION = 256 * 1024;

/** Starts to publish alerts. Rejects with what keeps it from starting; then nothing of it is left running. */
export async function startNoticesRole({ config, instance, health }: RoleSurroundings): Promise<RunningRole> {
  const { mqtt, kafka, alerts } = config;
  const broker = health.dependency('mqtt_alerts');
  if (!instance.isFirst) {
    processLog('notices').warn(
      'another process publishes alerts from this DATA_FOLDER already: each transition is published twice; stop one of them',
    );
  }
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: false },
    topicPrefix: kafka.topicPrefix,
    storeFile: join(config.instance.dataFolder, 'schemas-notices.json'),
    unknownPatienceMs: config.registry.unknownPatienceMs,
  });
  const log = connectLog(config, `${kafka.clientId}-notices-${instance.id}`);
  const admin = log.admin();
  try {
    await awaitTopics(admin, kafka.topicPrefix);
    health.dependency('kafka').up();
    const notices = new AlertNotices({
      prefix: alerts.mqttPrefix,
      broker: noticeBroker({
        ...mqttAddress({ mqtt }),
        clientId: `${mqtt.clientId}-notices-${instance.id}`,
      }),
      topic: topicNames(kafka.topicPrefix).alerts,
      loop: log.fetchLoop({ name: 'notices', maxWaitMs: LONG_POLL_MS, maxBytesPerPartition: BYTES_PER_PARTITION, isolation: 'committed' }),
      admin,
      decoder: codecs.openDecoder(ALERT_SCHEMA),
      onBroker: (error) => (error === null ? broker.up() : broker.down(error.message)),
    });
    await notices.start();
    return {
      ended: new Promise(() => undefined),
      drainSteps: [
        { name: 'alert notices', stop: (remainingMs) => notices.stop(remainingMs) },
        { name: 'alert notices log', stop: () => log.close() },
      ],
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}
