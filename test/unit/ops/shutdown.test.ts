import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeAll, describe, expect, test } from 'vitest';
import { configureLog } from '../../../src/ops/log.ts';
import { drainInOrder } from '../../../src/ops/shutdown.ts';

beforeAll(() => configureLog({ level: 'silent', format: 'json' }));

describe('drain', () => {
  test('runs the steps one after the other', async () => {
    const order: string[] = [];
    const step = (name: string) => ({
      name,
      stop: async () => {
        order.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`${name} ends`);
      },
    });
    expect(await drainInOrder([step('source'), step('lane')], 1_000)).toEqual([]);
    expect(order).toEqual(['source begins', 'source ends', 'lane begins', 'lane ends']);
  });

  test('a step that fails or hangs does not keep the next ones from running', async () => {
    const hangs = { name: 'hangs', stop: () => new Promise<void>(() => {}) };
    const fails = { name: 'fails', stop: () => Promise.reject(new Error('no')) };
    const throws = {
      name: 'throws',
      stop: () => {
        throw new Error('no');
      },
    };
    let isLastDone = false;
    const last = {
      name: 'last',
      stop: async () => {
        isLastDone = true;
      },
    };
    expect(await drainInOrder([hangs, fails, throws, last], 20)).toEqual(['hangs', 'fails', 'throws']);
    expect(isLastDone).toBe(true);
  });
});

describe('signals and uncaught errors, in a process of their own', () => {
  const source = (body: string, options: string) => `
    import { endOnUncaught, watchStopSignals } from ${JSON.stringify(new URL('../../../src/ops/shutdown.ts', import.meta.url).href)};
    endOnUncaught();
    const stop = watchStopSignals(${options});
    setInterval(() => {}, 1000);
    ${body}
    console.log('ready');`;

  async function started(body: string, options = '') {
    const child = spawn(process.execPath, ['--input-type=module', '-e', source(body, options)], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
    let printed = '';
    let logged = '';
    child.stderr.on('data', (chunk) => {
      logged += String(chunk);
    });
    const waitFor = async (text: string) => {
      while (!printed.includes(text)) printed += String((await once(child.stdout, 'data'))[0]);
    };
    return { child, ended, waitFor, logged: () => logged };
  }

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('the first %s only asks, the second ends with %i', async (name, code) => {
    const { child, ended, waitFor } = await started(
      `stop.signal.addEventListener('abort', () => console.log('asked by', stop.signal.reason));`,
    );
    await waitFor('ready');
    child.kill(name);
    await waitFor(`asked by ${name}`);
    child.kill(name);
    expect(await ended).toEqual([code, null]);
  });

  test('a signal that a parent passes on is the same request', async () => {
    const { child, ended, waitFor } = await started(
      `stop.signal.addEventListener('abort', () => console.log('asked'));
      process.on('SIGINT', () => console.log('heard'));`,
      '{ sameRequestMs: 60_000 }',
    );
    await waitFor('ready');
    child.kill('SIGINT');
    await waitFor('asked');
    child.kill('SIGINT');
    await waitFor('heard\nheard');
    expect(child.exitCode).toBeNull();
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
  });

  test('a drain that never ends is ended', async () => {
    const { child, ended, waitFor } = await started('stop.setDeadline(-2900);');
    await waitFor('ready');
    child.kill('SIGTERM');
    expect(await ended).toEqual([143, null]);
  });

  test.each(['setTimeout(() => { throw new Error("boom"); }, 1);', 'Promise.reject(new Error("boom"));'])(
    '%s is logged and ends with 1',
    async (body) => {
      const { ended, logged } = await started(body);
      expect(await ended).toEqual([1, null]);
      expect(logged()).toContain('boom');
    },
  );
});
