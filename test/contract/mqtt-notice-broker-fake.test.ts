import { expect, onTestFinished, test, vi } from 'vitest';
import { noticeBroker, type RetainedLimits } from '../../src/mqtt/notice-broker.ts';
import { publish, startScriptedBroker } from '../support/scripted-broker.ts';

// MQTT does not say which retained message is the last one: how long is waited for more of them, by a clock that the test moves.

const QUIET_MS = 500;

/** The question for what is retained, asked and accepted by the broker; from then on time stands still until the test moves it. */
async function ask(retainedLimits?: RetainedLimits) {
  const broker = await startScriptedBroker();
  onTestFinished(() => broker.close());
  const address = { url: broker.url, clientId: 'notices' };
  const connection = await noticeBroker(retainedLimits === undefined ? address : { ...address, retainedLimits }).connect();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  let answer: readonly string[] | null = null;
  const asked = connection.retained('alerts/+/+').then(({ messages, isWhole }) => {
    answer = [...messages.keys()];
    return isWhole;
  });
  asked.catch(() => undefined);
  await turnsUntil(() => broker.connections[0]?.packets.some(({ cmd }) => cmd === 'subscribe') === true);
  const [client] = broker.connections;
  let lastId = 0;
  const send = async (name: string, retain: boolean): Promise<void> => {
    lastId += 1;
    client!.send(publish(lastId, 'x', { topic: `alerts/${name}/hot`, retain }));
    await turnsUntil(() => client!.pubacks.includes(lastId));
  };
  return { asked, answer: () => answer, send };
}

async function turnsUntil(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('it did not come to that within 60 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a retained message is waited behind, what somebody publishes now is not', async () => {
  const { asked, answer, send } = await ask();
  await send('d1', true);
  vi.advanceTimersByTime(QUIET_MS - 1);
  await send('d2', true);
  vi.advanceTimersByTime(QUIET_MS - 1);
  expect(answer()).toBeNull();
  await send('d3', false);
  vi.advanceTimersByTime(1);
  await turnsUntil(() => answer() !== null);
  expect(answer()).toEqual(['alerts/d1/hot', 'alerts/d2/hot']);
  expect(await asked).toBe(true);
});

test('behind what is not looked at any more nothing is waited for', async () => {
  const { asked, answer, send } = await ask({ messagesMax: 1, bytesMax: 1_000, payloadBytesMax: 1_000 });
  await send('d1', true);
  await send('d2', true);
  await turnsUntil(() => answer() !== null);
  expect(answer()).toEqual(['alerts/d1/hot']);
  expect(await asked).toBe(false);
});
