import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RoleSurroundings, type RunningRole, runRole } from '../../../src/cli/run-role.ts';
import { loadConfig, requireConfig } from '../../../src/config/load-config.ts';
import type { Config } from '../../../src/config/settings-table.ts';
import { startHttpServer } from '../../../src/ops/http-server.ts';
import { claimInstance } from '../../../src/ops/instance-id.ts';
import { configureLog } from '../../../src/ops/log.ts';

let dataFolder: string;
let config: Config;
beforeEach(() => {
  configureLog({ level: 'silent', format: 'json' });
  dataFolder = mkdtempSync(join(tmpdir(), 'ingot-role-'));
  config = requireConfig(loadConfig({ environment: { DATA_FOLDER: dataFolder, HTTP_PORT: '0', SHUTDOWN_TIMEOUT: '1s' } }));
});
afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

function run(start: (surroundings: RoleSurroundings) => Promise<RunningRole>) {
  const stop = new AbortController();
  return { stop, code: runRole({ config: () => config, signal: stop.signal }, { role: 'bridge', start }) };
}

/** The id that a next process would get: the same again only when the role has given it back. */
function nextId(): string {
  const claim = claimInstance({ dataFolder, role: 'bridge', configuredId: null });
  claim.release();
  return claim.id;
}

const never = new Promise<void>(() => {});

describe('a role', () => {
  test('drains in the order of the flow when it is told to stop', async () => {
    const drained: string[] = [];
    const step = (name: string) => ({
      name,
      stop: async () => {
        drained.push(name);
      },
    });
    let seen: RoleSurroundings | undefined;
    const { stop, code } = run(async (surroundings) => {
      seen = surroundings;
      setImmediate(() => stop.abort('SIGTERM'));
      return { ended: never, drainSteps: [step('source'), step('lane')] };
    });
    expect(await code).toBe(0);
    expect(drained).toEqual(['source', 'lane']);
    expect(seen?.health.isDraining).toBe(true);
    expect(nextId()).toBe(seen?.instance.id);
  });

  test('ends with 1 when the drain was not complete', async () => {
    const { stop, code } = run(async () => {
      setImmediate(() => stop.abort('SIGTERM'));
      return { ended: never, drainSteps: [{ name: 'hangs', stop: () => never }] };
    });
    expect(await code).toBe(1);
  });

  test('that fails is drained too, and the failure is told', async () => {
    let isDrained = false;
    const stop = async () => {
      isDrained = true;
    };
    let id = '';
    const { code } = run(async ({ instance }) => {
      id = instance.id;
      return { ended: Promise.reject(new Error('the task stopped')), drainSteps: [{ name: 'rest', stop }] };
    });
    await expect(code).rejects.toThrow('the task stopped');
    expect(isDrained).toBe(true);
    expect(nextId()).toBe(id);
  });

  test('that cannot start leaves nothing behind', async () => {
    const id = nextId();
    await expect(run(() => Promise.reject(new Error('no topics'))).code).rejects.toThrow('no topics');
    expect(nextId()).toBe(id);
  });

  test('can be stopped while it waits for something at the start', async () => {
    const { stop, code } = run(() => new Promise(() => {}));
    stop.abort('SIGINT');
    expect(await code).toBe(0);
  });

  test('does not start when its HTTP address is taken', async () => {
    const other = await startHttpServer({ host: '127.0.0.1', port: 0, token: null, routes: [] });
    config = requireConfig(loadConfig({ environment: { DATA_FOLDER: dataFolder, HTTP_PORT: new URL(other.url).port } }));
    let isStarted = false;
    const { code } = run(async () => {
      isStarted = true;
      return { ended: never, drainSteps: [] };
    });
    await expect(code).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect(isStarted).toBe(false);
    await other.close(100);
  });
});
