import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Admin } from 'kafkajs';
import { type TlsSettingNames, tlsAdvice } from '../core/tls-failure.ts';
import { IngotError } from '../errors.ts';
import { withDeadline } from './deadline.ts';
import { errorText, hasKafkaCode, isRefusedError, isUnknownTopicError, KAFKA_ERROR } from './kafka-errors.ts';
import { BreakableSockets, type KafkaAddress, publicClientConfig, type RetrySettings } from './kafkajs-internals.ts';
import type { LogAdmin, TopicDescription, TopicSpec, Watermarks } from './log-port.ts';

/** Few: whoever asks waits for the answer. */
const RETRY: RetrySettings = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 4 };
const CALL_DEADLINE_MS = 20_000;
const CLOSE_DEADLINE_MS = 1_000;
const LEADER_POLL_MS = 50;
const LEADER_DEADLINE_MS = 15_000;

/** Questions about topics and groups, by the library's admin client. Connects with the first one. */
export class KafkaLogAdmin implements LogAdmin {
  readonly #address: KafkaAddress;
  #open: { readonly admin: Admin; readonly sockets: BreakableSockets } | null = null;
  #isClosed = false;
  #lastQuestion: Promise<void> = Promise.resolve();

  constructor(address: KafkaAddress) {
    this.#address = { ...address, clientId: `${address.clientId}-admin` };
  }

  async watermarks(topic: string): Promise<readonly Watermarks[]> {
    const rows = await this.#ask(async (admin) => {
      await this.#requireTopic(admin, topic);
      return await admin.fetchTopicOffsets(topic);
    });
    return rows
      .toSorted((a, b) => a.partition - b.partition)
      .map(({ low, high }) => ({ logStartOffset: Number(low), highWatermark: Number(high) }));
  }

  async offsetsAtTime(topic: string, timestampMs: number): Promise<readonly number[]> {
    const rows = await this.#ask(async (admin) => {
      await this.#requireTopic(admin, topic);
      return await admin.fetchTopicOffsetsByTimestamp(topic, timestampMs);
    });
    return rows.toSorted((a, b) => a.partition - b.partition).map(({ offset }) => Number(offset));
  }

  async committedOffsets(groupId: string, topic: string): Promise<readonly (number | null)[]> {
    const rows = await this.#ask(async (admin) => {
      await this.#requireTopic(admin, topic);
      const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
      return offsets?.partitions ?? [];
    });
    return rows.toSorted((a, b) => a.partition - b.partition).map(({ offset }) => (Number(offset) < 0 ? null : Number(offset)));
  }

  async describeTopics(names: readonly string[]): Promise<readonly TopicDescription[]> {
    return await this.#ask(async (admin) => {
      const existing = new Set(await admin.listTopics());
      const wanted = names.filter((name) => existing.has(name));
      if (wanted.length === 0) return [];
      const { topics } = await admin.fetchTopicMetadata({ topics: wanted });
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: wanted.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name })),
      });
      const configs = new Map(resources.map((resource) => [resource.resourceName, resource.configEntries]));
      return topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.length,
        replicationFactor: partitions[0]?.replicas.length ?? 0,
        configs: new Map((configs.get(name) ?? []).map((entry) => [entry.configName, entry.configValue])),
      }));
    });
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    return await this.#ask(async (admin) => {
      const existing = new Set(await admin.listTopics());
      const missing = specs.filter((spec) => !existing.has(spec.name));
      const created: string[] = [];
      for (const spec of missing) if (await createTopic(admin, spec)) created.push(spec.name);
      await untilLed(admin, created);
      return created;
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const open = this.#open;
    this.#open = null;
    if (open === null) return;
    const onExpired = () => new Error('the admin client did not disconnect in time');
    await withDeadline(open.admin.disconnect(), { ms: CLOSE_DEADLINE_MS, onExpired }).catch(() => undefined);
    open.sockets.destroy(new Error('the admin client is closed'));
  }

  async #requireTopic(admin: Admin, topic: string): Promise<void> {
    try {
      await admin.fetchTopicMetadata({ topics: [topic] });
    } catch (error) {
      if (!isUnknownTopicError(error)) throw error;
      throw new IngotError('TOPIC_MISSING', `there is no topic ${topic}. Create it with 'ingot topics create'.`);
    }
  }

  /**
   * One question at a time: the library's admin client changes its list of topics within each call, and calls that overlap see the
   * changes of one another ("Cannot destructure property 'partitions' of 'low.pop(...)'").
   */
  async #ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    const earlier = this.#lastQuestion;
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    this.#lastQuestion = answered;
    await earlier;
    try {
      return await this.#askAlone(question);
    } finally {
      resolve();
    }
  }

  /** IngotErrors pass; whatever else goes wrong means that Kafka did not answer as it should. */
  async #askAlone<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    const work = async () => await question(await this.#admin());
    const onExpired = () => new Error(`no answer within ${CALL_DEADLINE_MS / 1000} s`);
    try {
      return await withDeadline(work(), { ms: CALL_DEADLINE_MS, onExpired });
    } catch (error) {
      if (error instanceof IngotError) throw error;
      // The next question gets new connections.
      this.#open?.sockets.destroy(new Error('the connection is replaced after a failed call'));
      this.#open = null;
      throw unusable(this.#address, error);
    }
  }

  async #admin(): Promise<Admin> {
    if (this.#open === null) {
      const sockets = new BreakableSockets();
      const admin = new kafkajs.Kafka(publicClientConfig(this.#address, { retry: RETRY, sockets })).admin({ retry: RETRY });
      this.#open = { admin, sockets };
    }
    await this.#open.admin.connect();
    return this.#open.admin;
  }
}

const TLS_SETTINGS: TlsSettingNames = {
  address: 'KAFKA_BROKERS',
  ca: 'KAFKA_SSL_CA_FILE',
  certificate: 'KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE',
};

function unusable({ brokers, ssl, sasl }: KafkaAddress, cause: unknown): IngotError {
  const text = errorText(cause).replace(/\.$/, '');
  const advice = tlsAdvice(text, TLS_SETTINGS);
  const where = `Kafka at ${brokers.join(', ')}`;
  if (advice !== null) return new IngotError('KAFKA_REFUSED', `${where}: ${text}. ${advice}.`, { cause });
  if (!isRefusedError(cause)) {
    // A listener that expects TLS or a login hangs up on whoever comes without.
    const isPlain = text.includes('Closed connection') && (!ssl || !sasl);
    const hint = isPlain ? `, and whether it wants ${ssl ? '' : 'TLS (KAFKA_SSL) or '}a login (KAFKA_SASL_MECHANISM)` : '';
    return new IngotError('KAFKA_UNREACHABLE', `${where}: ${text}. Check KAFKA_BROKERS${hint}.`, { cause });
  }
  const settings = 'KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD';
  return new IngotError('KAFKA_REFUSED', `${where} refused us: ${text}. Check ${settings}, and what this user may do.`, { cause });
}

/** False when somebody else has created it meanwhile. */
async function createTopic(admin: Admin, spec: TopicSpec): Promise<boolean> {
  try {
    return await admin.createTopics({
      waitForLeaders: false,
      topics: [
        {
          topic: spec.name,
          numPartitions: spec.partitions,
          replicationFactor: spec.replicationFactor,
          configEntries: Object.entries(spec.configs).map(([name, value]) => ({ name, value })),
        },
      ],
    });
  } catch (error) {
    const refusals = (error as { errors?: unknown }).errors;
    if (!Array.isArray(refusals)) throw error;
    const reasons = refusals.map((one) => (one instanceof Error ? one.message : String(one))).join('; ');
    throw new IngotError('TOPIC_NOT_CREATED', `Kafka refused to create ${spec.name}: ${reasons}`, { cause: error });
  }
}

/**
 * Waits until every partition of the topics has a leader. The library can wait too (waitForLeaders), but it gives up when the broker that it
 * asks has not heard of the topic yet, which happens on KRaft: the controller creates, and the brokers learn of it a moment later.
 */
async function untilLed(admin: Admin, topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return;
  const deadlineAt = performance.now() + LEADER_DEADLINE_MS;
  for (;;) {
    try {
      await admin.fetchTopicMetadata({ topics: [...topics] });
      return;
    } catch (error) {
      const isEarly = hasKafkaCode(error, [KAFKA_ERROR.unknownTopicOrPartition, KAFKA_ERROR.leaderNotAvailable]);
      if (!isEarly || performance.now() > deadlineAt) throw error;
    }
    await sleep(LEADER_POLL_MS);
  }
}
