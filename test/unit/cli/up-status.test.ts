import { expect, test } from 'vitest';
import { isLedgerBalanced, type PipelineSnapshot, statusBlock, statusLine } from '../../../src/cli/up/status-block.ts';

const snapshot: PipelineSnapshot = {
  runningForMs: 3_725_000,
  devices: 25,
  bridge: { received: 12_345, produced: 12_300, deadLettered: 40, ignored: 0, shed: 0, inFlight: 5, unprotected: 0 },
  aggregator: {
    consumed: 12_295,
    outcomes: { counted: 12_200, duplicate: 90, future: 5 },
    late: 7,
    windowsEmitted: 480,
    alertsRaised: 6,
    alertsEnded: 4,
    alertTransitions: 0,
    latencyMs: { p50: 41.6, p99: 180.2 },
  },
  openWindows: 25,
  alertsFiring: 2,
  lagRecords: 5,
  sqlRows: 490,
};

test('the block says every figure in words', () => {
  const text = statusBlock(snapshot, { perSecond: 49.7, useColor: false, stopping: null }).join('\n');
  for (const part of [
    '01:02:05',
    '12 345 messages over MQTT, 50/s',
    '12 300 readings to Kafka, 5 in flight',
    '480 rows closed, 25 windows open',
    '2 firing, 6 raised, 4 ended',
  ]) {
    expect(text).toContain(part);
  }
  for (const part of [
    '40 from the bridge, 5 from the aggregator',
    '7 late (counted), 90 duplicate',
    'p50 42 ms, p99 180 ms',
    '490 rows written',
    'balanced, 10 under way',
  ]) {
    expect(text).toContain(part);
  }
  expect(statusLine(snapshot, 49.7)).toContain('dead letters 45 | end to end p50 42 ms, p99 180 ms | ledger balanced');
});

test('a message or a reading without a place in the ledger is seen', () => {
  expect(isLedgerBalanced(snapshot)).toBe(true);
  const lostMessage = { ...snapshot, bridge: { ...snapshot.bridge, produced: 12_299 } };
  const lostReading = { ...snapshot, aggregator: { ...snapshot.aggregator, consumed: 12_296 } };
  for (const broken of [lostMessage, lostReading]) {
    expect(isLedgerBalanced(broken)).toBe(false);
    expect(statusBlock(broken, { perSecond: 0, useColor: false, stopping: null }).join('\n')).toContain('NOT BALANCED');
  }
});

test('what came at QoS 0 is said beside the ledger', () => {
  const text = (shown: PipelineSnapshot) => statusBlock(shown, { perSecond: 0, useColor: false, stopping: null }).join('\n');
  expect(text({ ...snapshot, bridge: { ...snapshot.bridge, unprotected: 12 } })).toMatch(/not in it +12 at QoS 0: how many more/);
  expect(text(snapshot)).not.toContain('QoS 0');
});

test('the ledger has a colour where colours are wanted, and what is being stopped is named', () => {
  const lines = statusBlock(snapshot, { perSecond: null, useColor: true, stopping: 'bridge' });
  expect(lines.find((line) => line.includes('ledger'))).toContain('\x1b[32mbalanced, 10 under way\x1b[0m');
  expect(lines.at(-1)).toMatch(/^ {2}stopping +bridge$/);
  expect(lines.find((line) => line.includes('received'))).toMatch(/over MQTT$/);
});
