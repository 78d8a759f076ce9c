import { join } from 'node:path';
import { Bridge } from '../../bridge/bridge.ts';
import { deviceLimits } from '../../bridge/device-limits.ts';
import { sessionEmptied } from '../../bridge/emptied-session.ts';
import type { Config } from '../../config/settings-table.ts';
import { topicNames } from '../../kafka/topics.ts';
import { MqttSource } from '../../mqtt/mqtt-source.ts';
import { subscriptionFile } from '../../mqtt/subscription-file.ts';
import { BridgeEvents, type BridgeLedger } from '../../ops/bridge-events.ts';
import { READING_SCHEMA } from '../../registry/our-schemas.ts';
import { ReadingTranscoder } from '../../registry/reading-transcoder.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { awaitTopics, connectLog } from './connect-log.ts';
import { mqttAddress } from './connect-mqtt.ts';
import { registryAddress } from './connect-registry.ts';

// Constructs the bridge of this process from the configuration.

/** How long the start waits for the MQTT broker. Once started, the bridge waits for it for ever. */
const MQTT_START_DEADLINE_MS = 30_000;
const LANE_CLOSE_MS = 1_000;

export interface BridgeRole extends RunningRole {
  /** Its `ledger()` is the bridge's part of the loss ledger. */
  readonly events: BridgeEvents;
}

export interface BridgeStart {
  /** Take what the session at the MQTT broker still holds, then end the session and the role: for scaling down. */
  readonly endSession: boolean;
  /** An `ingot up` runs here, and has a bridge of its own at the same broker. */
  readonly isBesideUp?: boolean;
}

/** Starts the bridge. Rejects with what keeps it from starting; then nothing of it is left running. */
export async function startBridgeRole(
  { config, instance, health }: RoleSurroundings,
  { endSession, isBesideUp = false }: BridgeStart = { endSession: false },
): Promise<BridgeRole> {
  const { topicPrefix } = config.kafka;
  const registry = health.dependency('registry');
  const kafka = health.dependency('kafka');
  const events = new BridgeEvents({ mqtt: health.dependency('mqtt'), kafka });
  const mqttClientId = `${config.mqtt.clientId}-${instance.id}`;
  if (isBesideUp || !instance.isFirst) events.notAlone(mqttClientId, config.mqtt.topics.every(isSharedFilter));
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: config.registry.autoRegister },
    topicPrefix,
    storeFile: join(config.instance.dataFolder, 'schemas-bridge.json'),
  });
  const encoder = await codecs.openEncoder(READING_SCHEMA);
  registry.up();
  const log = connectLog(config, `${config.kafka.clientId}-bridge-${instance.id}`);
  const lane = log.produceLane({ name: 'readings', acks: config.kafka.acks });
  const source = mqttSource(config, { clientId: mqttClientId, events });
  const topics = topicNames(topicPrefix);
  const ended = Promise.withResolvers<void>();
  // A start that fails is reported by its own rejection.
  ended.promise.catch(() => {});
  try {
    const partitions = await awaitTopics(log.admin(), topicPrefix);
    kafka.up();
    const bridge = new Bridge({
      source,
      lane,
      encoder,
      transcoder: new ReadingTranscoder({ schemaId: encoder.schemaId }),
      readingsTopic: topics.readings,
      deadLettersTopic: topics.bridgeDeadLetters,
      partitions,
      batch: { records: config.bridge.batchRecords, bytes: config.bridge.batchBytes, lingerMs: config.bridge.lingerMs },
      maxPayloadBytes: config.bridge.maxPayloadBytes,
      limits: deviceLimits({
        rateMax: config.bridge.deviceRateLimit,
        burst: config.bridge.deviceRateBurst,
        devicesMax: config.bridge.devicesMax,
      }),
      events,
    });
    await bridge.start(ended.reject);
    events.started(config.mqtt.topics);
    const farewell = new Farewell();
    if (endSession) farewell.emptySession(source, events).then(ended.resolve, ended.reject);
    return {
      events,
      ended: ended.promise,
      drainSteps: [
        { name: 'bridge', stop: (remainingMs) => drain(bridge, remainingMs) },
        ...(endSession ? [{ name: 'MQTT session', stop: () => farewell.endSession(source, events.ledger()) }] : []),
        { name: 'bridge lane', stop: () => lane.close(LANE_CLOSE_MS) },
        { name: 'bridge log', stop: () => log.close() },
      ],
    };
  } catch (error) {
    await source.close(LANE_CLOSE_MS);
    await lane.close(0);
    await log.close();
    throw error;
  }
}

/** Of a bridge that goes for good. Its session is ended when nothing is left in it; else it is kept, with all that it holds. */
class Farewell {
  readonly #stopping = new AbortController();
  #isEmptied = false;

  async emptySession(source: MqttSource, events: BridgeEvents): Promise<void> {
    events.leaving();
    await source.leave();
    await sessionEmptied(source, () => events.ledger(), this.#stopping.signal);
    this.#isEmptied = true;
  }

  /** To be called when the bridge has been drained. */
  async endSession(source: MqttSource, ledger: BridgeLedger): Promise<void> {
    this.#stopping.abort();
    if (!this.#isEmptied || ledger.inFlight > 0) {
      throw new Error('the session at the MQTT broker is kept: it may still hold messages. The same command again goes on taking them');
    }
    await source.endSession();
  }
}

/** Of a filter of MQTT_TOPICS: whether the broker gives each message to one of its subscribers only. */
function isSharedFilter(filter: string): boolean {
  return filter.startsWith('$share/') || filter.startsWith('$queue/');
}

async function drain(bridge: Bridge, deadlineMs: number): Promise<void> {
  if (!(await bridge.stop(deadlineMs))) throw new Error('messages in flight were left to the MQTT broker, which will send them again');
}

function mqttSource({ mqtt, bridge, instance }: Config, { clientId, events }: { clientId: string; events: BridgeEvents }): MqttSource {
  return new MqttSource({
    ...mqttAddress({ mqtt }),
    clientId,
    topics: mqtt.topics,
    qos: mqtt.qos === 0 ? 0 : 1,
    receiveMaximum: mqtt.receiveMaximum,
    maxInFlightMessages: bridge.inflightMessagesMax,
    maxInFlightBytes: bridge.inflightBytesMax,
    maxPayloadBytes: bridge.maxPayloadBytes,
    readRestMs: bridge.lingerMs,
    connectDeadlineMs: MQTT_START_DEADLINE_MS,
    subscriptions: subscriptionFile(join(instance.dataFolder, `mqtt-subscriptions-${clientId}.json`)),
    events,
  });
}
