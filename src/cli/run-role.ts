import type { Config } from '../config/settings-table.ts';
import { Health } from '../ops/health.ts';
import { type HttpRoute, startHttpServer } from '../ops/http-server.ts';
import { claimInstance, type InstanceClaim } from '../ops/instance-id.ts';
import { log } from '../ops/log.ts';
import { operationsRoutes } from '../ops/operations-routes.ts';
import { observeProcess } from '../ops/process-events.ts';
import { type DrainStep, drainInOrder } from '../ops/shutdown.ts';
import type { CommandContext } from './command.ts';
import { PRODUCT_VERSION } from './product-version.ts';

// The frame around a long-running role (bridge, aggregator, sink): instance id, health and metrics over HTTP, then the role itself
// until a signal or its failure, then the drain in the order of the flow.

export interface RoleSurroundings {
  readonly config: Config;
  /** Stable id of this process among others of its role. */
  readonly instance: InstanceClaim;
  readonly health: Health;
  /** Where health, metrics and the page are served. */
  readonly httpUrl: string;
}

export interface RunningRole {
  /** Stops in the order of the flow: the entrance first. */
  readonly drainSteps: readonly DrainStep[];
  /** Settles when the role ends by itself; a rejection is what it failed with. Never settling is the normal case. */
  readonly ended: Promise<void>;
  /** What the role answers over HTTP, besides health and metrics. */
  readonly routes?: readonly HttpRoute[];
}

export interface RoleOptions {
  /** `bridge`, `aggregator`, `sink`. */
  readonly role: string;
  start(surroundings: RoleSurroundings): Promise<RunningRole>;
}

/**
 * Resolves with the exit code: 0 after a complete drain, 1 when the drain was not complete. Rejects with what the role failed with; then
 * too everything that was started has been ended.
 */
export async function runRole(context: Pick<CommandContext, 'config' | 'signal'>, { role, start }: RoleOptions): Promise<number> {
  const config = context.config();
  const instance = claimInstance({ dataFolder: config.instance.dataFolder, role, configuredId: config.instance.id });
  const health = new Health();
  observeProcess({ version: PRODUCT_VERSION, role });
  try {
    const { host, port, token } = config.http;
    const server = await startHttpServer({ host, port, token, routes: operationsRoutes(health) });
    try {
      const startWithRoutes = async () => {
        const running = await start({ config, instance, health, httpUrl: server.url });
        server.addRoutes(running.routes ?? []);
        return running;
      };
      return await serve(startWithRoutes, { role, health, instance, signal: context.signal, config, httpUrl: server.url });
    } finally {
      await server.close(HTTP_CLOSE_MS);
    }
  } finally {
    instance.release();
  }
}

const HTTP_CLOSE_MS = 1_000;

interface Serving extends RoleSurroundings {
  readonly role: string;
  readonly signal: AbortSignal;
}

async function serve(start: () => Promise<RunningRole>, { role, health, instance, signal, config }: Serving): Promise<number> {
  const stopped = whenAborted(signal);
  const starting = start();
  // A start may wait long for Kafka or the registry. What it has begun by then needs no drain: nothing was acknowledged.
  const running = await Promise.race([starting, stopped]);
  if (running === STOPPED) {
    starting.catch(() => {});
    log(role).info('stopped before it had started');
    return 0;
  }
  log(role).info({ instance: instance.id, version: PRODUCT_VERSION }, 'started');
  const failure = await Promise.race([running.ended.then(goodEnd, failedEnd), stopped]);
  health.startDraining();
  const failed = await drainInOrder(running.drainSteps, config.instance.shutdownTimeoutMs);
  if (failure !== STOPPED && failure !== null) throw failure.error;
  return failed.length === 0 ? 0 : 1;
}

const goodEnd = () => null;
const failedEnd = (error: unknown) => ({ error });

const STOPPED = Symbol('stopped by a signal');

function whenAborted(signal: AbortSignal): Promise<typeof STOPPED> {
  const { promise, resolve } = Promise.withResolvers<typeof STOPPED>();
  if (signal.aborted) resolve(STOPPED);
  signal.addEventListener('abort', () => resolve(STOPPED), { once: true });
  return promise;
}
