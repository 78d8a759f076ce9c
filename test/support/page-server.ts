import type { LedgerSnapshot } from '../../src/dashboard/dashboard-ports.ts';
import { dashboardRoutes } from '../../src/dashboard/dashboard-routes.ts';
import { DEFAULT_STREAM_LIMITS, EventStream } from '../../src/dashboard/event-stream.ts';
import { DEFAULT_LIMITS, ReadModel } from '../../src/dashboard/read-model.ts';
import { startHttpServer } from '../../src/ops/http-server.ts';

export interface PageServer extends AsyncDisposable {
  readonly url: string;
  readonly model: ReadModel;
  readonly events: EventStream;
  ledger: LedgerSnapshot | null;
}

export interface PageServerOptions {
  readonly port?: number;
  readonly host?: string;
  readonly token?: string;
  readonly intervalMs?: number;
  readonly clientsMax?: number;
  readonly unreadBytesMax?: number;
}

/** The page over HTTP, from a model that the test feeds. */
export async function startPageServer(options: PageServerOptions = {}): Promise<PageServer> {
  const { port = 0, host = '127.0.0.1', token = null, ...limits } = options;
  const model = new ReadModel({ ...DEFAULT_LIMITS, silentAfterMs: 30_000 });
  const nowMs = () => Date.now();
  const server = { ledger: null as LedgerSnapshot | null };
  const ledger = () => server.ledger;
  const events = new EventStream({ model, ledger, nowMs, ...DEFAULT_STREAM_LIMITS, ...limits });
  const http = await startHttpServer({ host, port, token, routes: dashboardRoutes({ model, ledger, events, nowMs }) });
  return Object.assign(server, {
    url: http.url,
    model,
    events,
    async [Symbol.asyncDispose]() {
      events.close();
      await http.close(500);
    },
  });
}
