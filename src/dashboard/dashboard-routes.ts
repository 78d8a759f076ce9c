import { type HttpRoute, sendJson, sendText } from '../ops/http-server.ts';
import type { LedgerSource } from './dashboard-ports.ts';
import type { EventStream } from './event-stream.ts';
import { ledgerView } from './ledger-view.ts';
import { pageFileRoutes } from './page-files.ts';
import type { ReadModel } from './read-model.ts';

export interface DashboardRoutesOptions {
  readonly model: ReadModel;
  readonly ledger: LedgerSource;
  readonly events: EventStream;
  /** Wall clock, epoch ms. */
  readonly nowMs: () => number;
}

const DEVICE_PATH = '/api/devices/';

/** The page at `/`, its data under `/api/` and its events, to be added to the HTTP server of the process. */
export function dashboardRoutes({ model, ledger, events, nowMs }: DashboardRoutesOptions): readonly HttpRoute[] {
  const get = (path: string, handle: HttpRoute['handle']): HttpRoute => ({ method: 'GET', path, isOpen: false, handle });
  return [
    ...pageFileRoutes(),
    get('/api/ledger', (_request, response) => sendJson(response, 200, { ledger: ledgerView(ledger()) })),
    get('/api/alerts', (_request, response) => sendJson(response, 200, model.alerts())),
    get('/api/devices', (_request, response) => {
      const { counts, devices } = model.snapshot(nowMs());
      sendJson(response, 200, { counts, devices });
    }),
    get(DEVICE_PATH, (_request, response, url) => {
      const deviceId = decodedSegment(url.pathname.slice(DEVICE_PATH.length));
      const device = deviceId === null ? null : model.device(deviceId, nowMs());
      if (device === null) return sendText(response, 404, 'There is no such device in the table of the page.');
      sendJson(response, 200, device);
    }),
    get('/events', (request, response) => events.accept(request, response)),
  ];
}

function decodedSegment(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
