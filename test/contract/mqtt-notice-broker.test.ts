import { connectAsync } from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import { noticeBroker } from '../../src/mqtt/notice-broker.ts';
import { freshName, stack } from '../support/stack.ts';

// What a broker keeps below a filter may be anything of any length: what is looked at has bounds, and says when there is more.

test('retained messages are looked at up to the limits', async () => {
  const prefix = freshName('retained');
  const client = await connectAsync(stack().mosquittoUrl);
  const leave = (name: string, payload: string) => client.publishAsync(`${prefix}/${name}/hot`, payload, { qos: 1, retain: true });
  const names = Array.from({ length: 6 }, (_, n) => `d${n}`);
  onTestFinished(async () => {
    await Promise.all(names.map((name) => leave(name, '')));
    await client.endAsync();
  });
  for (const name of names) await leave(name, name === 'd0' ? 'x'.repeat(5_000) : 'x'.repeat(100));
  const seen = async (limits: { messagesMax: number; bytesMax: number }) => {
    const retainedLimits = { payloadBytesMax: 1_000, ...limits };
    const connection = await noticeBroker({ url: stack().mosquittoUrl, clientId: freshName('notices'), retainedLimits }).connect();
    const { messages, isWhole } = await connection.retained(`${prefix}/+/+`);
    await connection.close(1_000);
    return { lengths: [...messages.values()].map((payload) => payload.length).sort((a, b) => a - b), isWhole };
  };
  // None of ours is as long as the first one.
  expect(await seen({ messagesMax: 100, bytesMax: 100_000 })).toEqual({ lengths: [0, 100, 100, 100, 100, 100], isWhole: true });
  expect(await seen({ messagesMax: 4, bytesMax: 100_000 })).toMatchObject({ lengths: { length: 4 }, isWhole: false });
  expect((await seen({ messagesMax: 100, bytesMax: 300 })).isWhole).toBe(false);
});
