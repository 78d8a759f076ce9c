import { Counter, Gauge } from 'prom-client';
import type { BridgeRejectReason } from '../core/outcome.ts';
import type { Dependency } from './health.ts';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';
import { deadLettersTotal, endToEndLatencySeconds } from './pipeline-metrics.ts';

/**
 * The bridge's part of the loss ledger, per message:
 * received = produced + deadLettered + ignored + shed + inFlight. A redelivered message is received again.
 */
export interface BridgeLedger {
  readonly received: number;
  readonly produced: number;
  readonly deadLettered: number;
  /** Retained messages that the broker sent because we subscribed. */
  readonly ignored: number;
  /** Shed by a limit that the user set. */
  readonly shed: number;
  readonly inFlight: number;
  /** Of `received`, those at QoS 0; no term of the sum. */
  readonly unprotected: number;
}

/** What the ledger cannot know, in words; null when everything came at QoS 1. */
export function unknownLosses({ unprotected }: BridgeLedger): string | null {
  return unprotected === 0 ? null : `${unprotected} at QoS 0: how many more of those were lost on the way here, nobody can tell`;
}

export function isBalanced(ledger: BridgeLedger): boolean {
  return ledger.received === ledger.produced + ledger.deadLettered + ledger.ignored + ledger.shed + ledger.inFlight;
}

type LedgerCounts = { -readonly [name in keyof BridgeLedger]: number };

/** All bridges of this process; there is one, except in tests. The counters on the hot path are plain numbers, read when scraped. */
const allBridges: BridgeEvents[] = [];

function sum(count: (bridge: BridgeEvents) => number): number {
  return allBridges.reduce((total, bridge) => total + count(bridge), 0);
}

new Counter({
  name: `${METRIC_PREFIX}bridge_messages_received_total`,
  help: 'Messages received over MQTT, redelivered ones again.',
  labelNames: ['dialect'] as const,
  registers: [metricsRegistry],
  collect() {
    this.reset();
    this.inc(
      { dialect: 'native' },
      sum((bridge) => bridge.ledger().received),
    );
  },
});
new Gauge({
  name: `${METRIC_PREFIX}bridge_inflight_messages`,
  help: 'Messages received that are not acknowledged yet.',
  registers: [metricsRegistry],
  collect() {
    this.set(sum((bridge) => bridge.ledger().inFlight));
  },
});
new Counter({
  name: `${METRIC_PREFIX}readings_produced_total`,
  help: 'Readings that Kafka has acknowledged.',
  registers: [metricsRegistry],
  collect() {
    this.reset();
    this.inc(sum((bridge) => bridge.ledger().produced));
  },
});
new Counter({
  name: `${METRIC_PREFIX}bridge_messages_ignored_total`,
  help: 'Retained messages that were not taken, because a restart would ingest old values again.',
  registers: [metricsRegistry],
  collect() {
    this.reset();
    this.inc(sum((bridge) => bridge.ledger().ignored));
  },
});
new Counter({
  name: `${METRIC_PREFIX}bridge_messages_shed_total`,
  help: 'Messages above DEVICE_RATE_LIMIT: acknowledged and not taken.',
  registers: [metricsRegistry],
  collect() {
    this.reset();
    this.inc(sum((bridge) => bridge.ledger().shed));
  },
});
new Counter({
  name: `${METRIC_PREFIX}bridge_messages_unprotected_total`,
  help: 'Messages received at QoS 0: the MQTT broker may lose them.',
  registers: [metricsRegistry],
  collect() {
    this.reset();
    this.inc(sum((bridge) => bridge.ledger().unprotected));
  },
});
new Counter({
  name: `${METRIC_PREFIX}bridge_fields_ignored_total`,
  help: 'Fields of messages that are neither known nor numbers.',
  registers: [metricsRegistry],
  collect() {
    this.reset();
    this.inc(sum((bridge) => bridge.ignoredFields));
  },
});
new Counter({
  name: `${METRIC_PREFIX}bridge_messages_rejected_total`,
  help: 'Messages that the bridge refused, by reason.',
  labelNames: ['reason'] as const,
  registers: [metricsRegistry],
  collect() {
    this.reset();
    for (const { rejected } of allBridges) for (const [reason, count] of rejected) this.inc({ reason }, count);
  },
});

function countOne<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

const SHED_TOLD_EVERY_MS = 60_000;
const FAILURE_TOLD_EVERY_MS = 10_000;

/** What can be observed of one bridge: one function per event. */
export class BridgeEvents {
  readonly #log = log('bridge');
  readonly #counts: LedgerCounts = { received: 0, produced: 0, deadLettered: 0, ignored: 0, shed: 0, inFlight: 0, unprotected: 0 };
  ignoredFields = 0;
  /** Messages that were refused, by reason. */
  readonly rejected = new Map<BridgeRejectReason, number>();
  #shedToldAtMs = Number.NEGATIVE_INFINITY;
  #mqttFailure = { message: '', toldAtMs: Number.NEGATIVE_INFINITY };

  readonly #mqtt: Dependency | undefined;
  readonly #kafka: Dependency | undefined;

  /** Reports to `dependencies` whether the MQTT broker and Kafka answer. */
  constructor(dependencies: { readonly mqtt?: Dependency; readonly kafka?: Dependency } = {}) {
    this.#mqtt = dependencies.mqtt;
    this.#kafka = dependencies.kafka;
    allBridges.push(this);
  }

  /** A copy of the counts as they are now. */
  ledger(): BridgeLedger {
    return { ...this.#counts };
  }

  messageReceived(qos: 0 | 1): void {
    this.#counts.received++;
    this.#counts.inFlight++;
    if (qos === 0) this.#counts.unprotected++;
  }

  retainedIgnored(): void {
    this.#counts.ignored++;
    this.#counts.inFlight--;
  }

  /** Told at most once a minute: a flood of messages must not become a flood of log lines. */
  messageShed(mqttTopic: string): void {
    this.#counts.shed++;
    this.#counts.inFlight--;
    const nowMs = performance.now();
    if (nowMs < this.#shedToldAtMs + SHED_TOLD_EVERY_MS) return;
    this.#shedToldAtMs = nowMs;
    this.#log.warn({ mqttTopic, shed: this.#counts.shed }, 'a device sends more than DEVICE_RATE_LIMIT allows: its messages are shed');
  }

  fieldsIgnored(count: number): void {
    this.ignoredFields += count;
  }

  messageRejected(reason: BridgeRejectReason, detail: string): void {
    countOne(this.rejected, reason);
    this.#log.debug({ reason, detail }, 'message refused');
  }

  readingsProduced(count: number): void {
    this.#counts.produced += count;
    this.#counts.inFlight -= count;
  }

  /** Those of one part of a batch: a look-up in the metric takes as long as all else that is done for a message. */
  deadLettersProduced(letters: readonly { readonly reason: BridgeRejectReason }[]): void {
    this.#counts.deadLettered += letters.length;
    this.#counts.inFlight -= letters.length;
    const byReason = new Map<BridgeRejectReason, number>();
    for (const { reason } of letters) countOne(byReason, reason);
    for (const [reason, count] of byReason) deadLettersTotal.inc({ stage: 'bridge', reason }, count);
  }

  batchAcknowledged(oldestAgeMs: number): void {
    endToEndLatencySeconds.observe({ stage: 'bridge' }, oldestAgeMs / 1000);
    this.#kafka?.up();
  }

  /** The batch is tried again for as long as it takes; nothing is acknowledged meanwhile. */
  kafkaSilent(silentMs: number): void {
    this.#kafka?.down(`a batch was not acknowledged within ${silentMs} ms`);
  }

  deadLetterWithheld(topic: string, detail: string): void {
    this.#log.error(
      { topic, detail },
      'a dead letter cannot be written: nothing is acknowledged until it can. Check max.message.bytes of the topic',
    );
  }

  started(topics: readonly string[]): void {
    this.#log.info({ topics }, 'taking messages');
  }

  /** Others had been started on the same data folder before. */
  notAlone(clientId: string, isShared: boolean): void {
    const fate = isShared
      ? 'with its share of the messages'
      : 'and each of them takes every message, so each reading is there twice: stop one, or share the load ($share/...)';
    const what = `another bridge runs on this DATA_FOLDER: this one has a session of its own at the MQTT broker, ${fate}. To stop one for good, end its session too (--end-session)`;
    this.#log.warn({ clientId }, what);
  }

  leaving(): void {
    this.#log.info('taking what the session still holds, then ending it');
  }

  drained(): void {
    this.#log.info({ ...this.#counts }, 'drained');
  }

  notDrained(): void {
    this.#log.warn({ ...this.#counts }, 'ended with messages in flight; the MQTT broker will send them again');
  }

  mqttConnected(protocolVersion: number, isSessionPresent: boolean): void {
    this.#mqtt?.up();
    this.#log.info({ protocolVersion, isSessionPresent }, 'connected to the MQTT broker');
  }

  mqttLost(unacknowledged: number): void {
    this.#mqtt?.down('the connection was lost');
    this.#log.warn({ unacknowledged }, 'lost the MQTT broker; what was not acknowledged comes again');
  }

  /** Not a failure: the next connection speaks the version before. */
  mqttVersionRefused(protocolVersion: number): void {
    this.#log.info({ protocolVersion }, 'the MQTT broker does not speak this version of MQTT; trying 3.1.1');
  }

  /** Told at once, and the same again at most every ten seconds: the client tries every second. */
  mqttFailed(message: string): void {
    const nowMs = performance.now();
    if (message === this.#mqttFailure.message && nowMs < this.#mqttFailure.toldAtMs + FAILURE_TOLD_EVERY_MS) return;
    this.#mqttFailure = { message, toldAtMs: nowMs };
    this.#log.warn({ message }, 'MQTT client');
  }

  mqttDisconnectedByBroker(reasonCode: number | undefined): void {
    const isTakenOver = reasonCode === 0x8e;
    this.#log.error(
      { reasonCode },
      isTakenOver ? 'another client uses our MQTT client id: give each bridge its own' : 'the MQTT broker ended the connection',
    );
  }

  subscriptionGrantedBelow(topic: string, granted: number): void {
    this.#log.warn({ topic, granted }, 'the MQTT broker grants a lower quality of service than asked for: messages are unprotected');
  }

  subscriptionRemoved(topics: readonly string[]): void {
    this.#log.info({ topics }, 'unsubscribed what the session held from before');
  }

  readingHeld(inFlight: number): void {
    this.#log.debug({ inFlight }, 'limit of messages in flight reached: not reading from MQTT');
  }

  heldTooLong(heldMs: number): void {
    this.#log.warn({ heldMs }, 'nothing could be acknowledged for too long: dropping the MQTT connection, its session keeps the messages');
  }
}
