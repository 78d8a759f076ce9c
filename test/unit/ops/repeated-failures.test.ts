import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BridgeEvents } from '../../../src/ops/bridge-events.ts';
import { configureLog, redirectLog } from '../../../src/ops/log.ts';
import { brokerLost } from '../../../src/ops/notices-events.ts';
import { registryAwaited } from '../../../src/ops/registry-events.ts';

// What is tried every second is not told every second.

let lines: string[];
beforeEach(() => {
  lines = [];
  configureLog({ level: 'warn', format: 'json' });
  redirectLog((line) => lines.push(line));
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Fails once a second for so long. */
function failFor(seconds: number, fail: () => void): void {
  for (let second = 0; second < seconds; second++) {
    fail();
    vi.advanceTimersByTime(1_000);
  }
}

test('a registry that is awaited', () => {
  failFor(30, () => registryAwaited({ url: 'http://registry', error: 'no answer', retryInMs: 1_000 }));
  expect(lines).toHaveLength(3);
});

test('an MQTT broker that takes no alerts', () => {
  failFor(30, () => brokerLost(new Error('connect ECONNREFUSED')));
  expect(lines).toHaveLength(3);
});

test('an MQTT broker that does not answer; another failure is told at once', () => {
  const events = new BridgeEvents();
  failFor(30, () => events.mqttFailed('connect ECONNREFUSED'));
  expect(lines).toHaveLength(3);
  events.mqttFailed('Not authorized');
  expect(lines.at(-1)).toContain('Not authorized');
  expect(lines).toHaveLength(4);
});
