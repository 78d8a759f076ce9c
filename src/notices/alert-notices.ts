import { setTimeout as sleep } from 'node:timers/promises';
import type { Alert } from '../core/alert-record.ts';
import type { FetchLoop, LogAdmin } from '../kafka/log-port.ts';
import * as events from '../ops/notices-events.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import { AlertFeed } from './alert-feed.ts';
import { FiringAlerts, type Notice } from './firing-alerts.ts';
import type { NoticeBroker, NoticeConnection } from './notices-ports.ts';

// The page: alerts from Kafka to MQTT, as `<prefix><device>/<rule>`. First the whole topic is read, to know what fires. Then, on every
// connection, the broker's retained messages are made right; then each transition is published as it comes, at least once.

/** Transitions that wait for the broker. When there are more, they are dropped and the retained messages are made right instead. */
const WAITING_MAX = 10_000;
/** Messages that are under way at once. They keep their order. */
const IN_FLIGHT_MAX = 64;
const RECONNECT_MS = 1_000;
const CLOSE_MS = 2_000;

export interface AlertNoticesOptions {
  /** Of MQTT topics: `alerts/`. */
  readonly prefix: string;
  readonly broker: NoticeBroker;
  readonly topic: string;
  readonly loop: FetchLoop;
  readonly admin: Pick<LogAdmin, 'watermarks'>;
  readonly decoder: ValueDecoder<Alert>;
  /** Told when the broker is there, and when it is not. */
  readonly onBroker: (error: Error | null) => void;
}

export class AlertNotices {
  private readonly options: AlertNoticesOptions;
  private readonly feed: AlertFeed;
  private readonly firing: FiringAlerts;
  private readonly stopping = new AbortController();
  private waiting: Notice[] = [];
  /** Before the topic was read, and after more had come than may wait. */
  private isReconcileDue = true;
  private wake: () => void = () => undefined;
  private life: Promise<void> = Promise.resolve();

  constructor(options: AlertNoticesOptions) {
    this.options = options;
    this.firing = new FiringAlerts(options.prefix);
    this.feed = new AlertFeed({
      ...options,
      onAlert: (alert, place) => {
        this.enqueue(this.firing.apply(alert, place));
        events.firingCounted(this.firing.size, this.firing.isFull);
      },
    });
  }

  /** Resolves when what fires is known. IngotErrors of `LogAdmin.watermarks`. */
  async start(): Promise<void> {
    await this.feed.start();
    this.life = this.live();
  }

  /** Publishes what waits, for as long as there is time. Never rejects. */
  async stop(deadlineMs: number): Promise<void> {
    await this.feed.close();
    this.stopping.abort();
    this.wake();
    const { promise: deadline, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, deadlineMs);
    await Promise.race([this.life, deadline]);
    clearTimeout(timer);
  }

  private enqueue(notices: readonly Notice[]): void {
    // What is reconciled later needs no transitions.
    if (this.isReconcileDue || notices.length === 0) return;
    if (this.waiting.length + notices.length > WAITING_MAX) {
      events.noticesDropped(this.waiting.length + notices.length);
      this.waiting = [];
      this.isReconcileDue = true;
    } else {
      this.waiting.push(...notices);
    }
    this.wake();
  }

  private async live(): Promise<void> {
    const { broker, onBroker } = this.options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      let connection: NoticeConnection | null = null;
      try {
        connection = await broker.connect();
        onBroker(null);
        // A broker that was restarted may have lost everything that it had kept.
        await this.reconcile(connection);
        await this.publishUntilStopped(connection);
      } catch (error) {
        onBroker(error as Error);
        events.brokerLost(error);
        await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
      } finally {
        await connection?.close(CLOSE_MS);
      }
    }
  }

  private async reconcile(connection: NoticeConnection): Promise<void> {
    const retained = await connection.retained(`${this.options.prefix}+/+`);
    // From here on every transition waits: what is published now and what comes meanwhile may be the same, but nothing is missed.
    this.isReconcileDue = false;
    const notices = this.firing.reconcile(retained.messages, this.feed.wholeFromOffsets);
    for (let at = 0; at < notices.length; at += IN_FLIGHT_MAX) await this.publish(connection, notices.slice(at, at + IN_FLIGHT_MAX));
    events.reconciled({ retained: retained.messages.size, firing: this.firing.size, corrected: notices.length });
    if (retained.isWhole) return;
    // What was taken away makes room to see the rest. When nothing was, the same would come again.
    if (notices.some(({ payload }) => payload === '')) this.isReconcileDue = true;
    else events.retainedBeyond(retained.messages.size);
  }

  private async publishUntilStopped(connection: NoticeConnection): Promise<void> {
    let isLost = false;
    void connection.ended.then(() => {
      isLost = true;
      this.wake();
    });
    for (;;) {
      if (isLost) throw new Error('the MQTT broker has closed the connection');
      if (this.isReconcileDue) {
        await this.reconcile(connection);
        continue;
      }
      const next = this.waiting.slice(0, IN_FLIGHT_MAX);
      if (next.length > 0) {
        await this.publish(connection, next);
        // Only now: what was under way when a connection is lost is published again. It may have been dropped meanwhile.
        if (this.waiting[0] === next[0]) this.waiting.splice(0, next.length);
      } else if (this.stopping.signal.aborted) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
    }
  }

  private async publish(connection: NoticeConnection, notices: readonly Notice[]): Promise<void> {
    await Promise.all(notices.map(({ topic, payload, retain }) => connection.publish(topic, payload, { retain })));
    events.noticesPublished(notices.length);
  }
}
