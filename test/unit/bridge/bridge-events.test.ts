import { expect, it } from 'vitest';
import { BridgeEvents, isBalanced, unknownLosses } from '../../../src/ops/bridge-events.ts';
import { configureLog } from '../../../src/ops/log.ts';
import { metricsRegistry } from '../../../src/ops/metrics.ts';

configureLog({ level: 'silent', format: 'json' });

it('keeps the ledger balanced through every fate of a message, and shows it as metrics', async () => {
  const reports: string[] = [];
  const dependency = (name: string) => ({
    up: () => reports.push(`${name} up`),
    down: (reason: string) => reports.push(`${name} down: ${reason}`),
  });
  const events = new BridgeEvents({ mqtt: dependency('mqtt'), kafka: dependency('kafka') });
  for (const qos of [0, 1, 1, 1, 1] as const) events.messageReceived(qos);
  events.retainedIgnored();
  events.messageShed('devices/d1/telemetry');
  events.messageRejected('invalid_json', 'detail');
  events.deadLettersProduced([{ reason: 'invalid_json' }]);
  events.readingsProduced(1);
  events.fieldsIgnored(3);
  expect(events.ledger()).toEqual({ received: 5, produced: 1, deadLettered: 1, ignored: 1, shed: 1, inFlight: 1, unprotected: 1 });
  expect(isBalanced(events.ledger())).toBe(true);
  expect(unknownLosses(events.ledger())).toBe('1 at QoS 0: how many more of those were lost on the way here, nobody can tell');
  expect(unknownLosses({ ...events.ledger(), unprotected: 0 })).toBeNull();
  expect(isBalanced({ ...events.ledger(), received: 6 })).toBe(false);

  events.mqttConnected(5, true);
  events.mqttLost(1);
  events.kafkaSilent(10_000);
  events.batchAcknowledged(4);
  expect(reports).toEqual([
    'mqtt up',
    'mqtt down: the connection was lost',
    'kafka down: a batch was not acknowledged within 10000 ms',
    'kafka up',
  ]);

  const shown = await metricsRegistry.metrics();
  for (const line of [
    'ingot_bridge_messages_received_total{dialect="native"} 5',
    'ingot_bridge_messages_shed_total 1',
    'ingot_bridge_messages_rejected_total{reason="invalid_json"} 1',
    'ingot_bridge_inflight_messages 1',
    'ingot_bridge_messages_ignored_total 1',
    'ingot_bridge_messages_unprotected_total 1',
    'ingot_bridge_fields_ignored_total 3',
    'ingot_readings_produced_total 1',
    'ingot_dead_letters_total{stage="bridge",reason="invalid_json"} 1',
    'ingot_end_to_end_latency_seconds_count{stage="bridge"} 1',
  ]) {
    expect(shown.split('\n')).toContain(line);
  }
});
