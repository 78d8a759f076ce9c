import type { Alert } from '../core/alert-record.ts';
import { DEVICE_ID_PATTERN } from '../core/reading.ts';
import type { AlertPlace } from './notices-ports.ts';

// Which alerts fire, and what has to be published for that: the decisions, without any I/O. Only what fires is kept, so that the memory is
// bounded by that and not by the length of the topic.

/** One message to publish. */
export interface Notice {
  readonly topic: string;
  /** JSON; empty to take the retained message away. */
  readonly payload: string;
  readonly retain: boolean;
}

const RULE_ID = /^[A-Za-z0-9._-]{1,64}(:stale)?$/;
/** Alerts that are kept, at about 1 KiB each. What fires beyond that is not published. */
const FIRING_MAX = 50_000;

export class FiringAlerts {
  private readonly prefix: string;
  /** Payload by topic. */
  private readonly firing = new Map<string, string>();

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  get size(): number {
    return this.firing.size;
  }

  get isFull(): boolean {
    return this.firing.size >= FIRING_MAX;
  }

  /** Notes a transition, in the order of its partition; returns what to publish, nothing for what nobody can have meant. */
  apply(alert: Alert, place: AlertPlace): Notice[] {
    if (!DEVICE_ID_PATTERN.test(alert.deviceId) || !RULE_ID.test(alert.ruleId)) return [];
    const topic = `${this.prefix}${alert.deviceId}/${alert.ruleId}`;
    const payload = JSON.stringify(payloadOf(alert, place));
    if (alert.state === 'FIRING' || alert.state === 'STALE') {
      if (this.isFull && !this.firing.has(topic)) return [];
      this.firing.set(topic, payload);
      return [{ topic, payload, retain: true }];
    }
    this.firing.delete(topic);
    // First what happened, for those who listen; then nothing is left for those who come later.
    return [
      { topic, payload, retain: false },
      { topic, payload: '', retain: true },
    ];
  }

  /**
   * What makes the broker's retained messages right. A message about an alert that does not fire is taken away, unless its transition is
   * from before what was read without a gap (`wholeFromOffsets` by partition): then nobody knows better.
   */
  reconcile(retained: ReadonlyMap<string, Buffer>, wholeFromOffsets: readonly number[]): Notice[] {
    const notices: Notice[] = [];
    for (const [topic, found] of retained) {
      if (this.firing.has(topic)) continue;
      const place = placeIn(found);
      const isForgotten = place !== null && place.offset < (wholeFromOffsets[place.partition] ?? 0);
      if (!isForgotten) notices.push({ topic, payload: '', retain: true });
    }
    for (const [topic, payload] of this.firing) {
      if (retained.get(topic)?.toString('utf8') !== payload) notices.push({ topic, payload, retain: true });
    }
    return notices;
  }
}

/** What an MQTT client gets to read. Times in epoch ms. */
function payloadOf(alert: Alert, { partition, offset }: AlertPlace) {
  const { alertId, deviceId, ruleId, ruleVersion, metric, severity, state, transition, transitionNumber } = alert;
  const { value, peakValue, threshold, clearThreshold, unit, raisedAt, transitionAt, resolvedAt, summary, labels } = alert;
  return {
    ...{ alertId, deviceId, ruleId, ruleVersion, metric, severity, state, transition, transitionNumber },
    ...{ value, peakValue, threshold, clearThreshold, unit, raisedAt, transitionAt, resolvedAt, summary, labels },
    record: { partition, offset },
  };
}

/** null when the payload is none of ours. */
function placeIn(payload: Buffer): AlertPlace | null {
  try {
    const { record } = JSON.parse(payload.toString('utf8')) as { record?: Partial<AlertPlace> };
    if (!Number.isSafeInteger(record?.partition) || !Number.isSafeInteger(record?.offset)) return null;
    return { partition: record!.partition!, offset: record!.offset! };
  } catch {
    return null;
  }
}
