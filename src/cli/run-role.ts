import type { Config } from '../config/settings-table.ts';
import { Health } from '../ops/health.ts';
import { startHttpServer } from '../ops/http-server.ts';
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
}

export interface RunningRole {
  /** Stops in the order of the flow: the entrance first. */
  readonly drainSteps: readonly DrainStep[];
  /** Settles when the role ends by itself; a rejection is what it failed with. Never settling is the normal case. */
  readonly ended: Promise<void>;
}

export interface RoleOptions {
  /** `bridge`, `aggregator`, `sink`. */
  readonly role: string;
  start(surroundings: RoleSurroundings): Promise<RunningRole>;
}

/** Resolves with the exit code: 0 after a complete drain, 1 when the drain was not complete. Rejects with what the role failed with. */
export async function runRole(context: Pick<CommandContext, 'config' | 'signal'>, { role, start }: RoleOptions): Promise<number> {
  const config = context.config();
  const { dataFolder, id, shutdownTimeoutMs } = config.instance;
  const instance = claimInstance({ dataFolder, role, configuredId: id });
  const health = new Health();
  observeProcess({ version: PRODUCT_VERSION, role });
  const server = await startHttpServer({
    host: config.http.host,
    port: config.http.port,
    token: config.http.token,
    routes: operationsRoutes(health),
  });
  try {
    const running = await start({ config, instance, health });
    log(role).info({ instance: instance.id, version: PRODUCT_VERSION }, 'started');
    const failure = await firstOf(running.ended, context.signal);
    health.startDraining();
    const failed = await drainInOrder(running.drainSteps, shutdownTimeoutMs);
    if (failure) throw failure.error;
    return failed.length === 0 ? 0 : 1;
  } finally {
    await server.close(1_000);
    instance.release();
  }
}

/** Null after a signal or a good end. */
async function firstOf(ended: Promise<void>, signal: AbortSignal): Promise<{ readonly error: unknown } | null> {
  const { promise: stopped, resolve } = Promise.withResolvers<null>();
  const onAbort = () => resolve(null);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  const end = ended.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  const first = await Promise.race([end, stopped]);
  signal.removeEventListener('abort', onAbort);
  return first;
}
