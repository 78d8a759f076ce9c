import type { IncomingMessage, ServerResponse } from 'node:http';
import { clientRefused, clientsOpen } from '../ops/dashboard-events.ts';
import { sendText } from '../ops/http-server.ts';
import type { LedgerSource } from './dashboard-ports.ts';
import { ledgerView } from './ledger-view.ts';
import type { ReadModel } from './read-model.ts';

export interface EventStreamOptions {
  readonly model: ReadModel;
  readonly ledger: LedgerSource;
  /** Wall clock, epoch ms. */
  readonly nowMs: () => number;
  readonly clientsMax: number;
  /** A client with more bytes than this unread is dropped. It must hold a snapshot. */
  readonly unreadBytesMax: number;
  /** Every so often all clients get what has changed, and with that a sign of life. */
  readonly intervalMs: number;
}

export const DEFAULT_STREAM_LIMITS = { clientsMax: 32, unreadBytesMax: 16 * 1024 * 1024, intervalMs: 1_000 } as const;

/**
 * Server-sent events (HTML Standard, 9.2): one `snapshot`, then a `delta` at every interval, also when nothing has changed, so that a
 * page knows whether it is still connected. All clients get the same deltas.
 */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #clients = new Set<ServerResponse>();
  readonly #timer: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sendDelta(), options.intervalMs).unref();
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  accept(request: IncomingMessage, response: ServerResponse): void {
    const { clientsMax } = this.#options;
    if (this.#isClosed) sendText(response, 503, 'This process is stopping.');
    else if (this.#clients.size >= clientsMax) {
      clientRefused('too_many', `${clientsMax} pages are open`);
      sendText(response, 503, `${clientsMax} pages are open, which is the limit. Close one of them.`);
    } else {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' });
      if (request.method === 'HEAD') response.end();
      else this.#begin(response);
    }
  }

  /** Ends all streams. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const client of this.#clients) client.end();
  }

  #begin(client: ServerResponse): void {
    const { model, ledger, nowMs } = this.#options;
    this.#clients.add(client);
    clientsOpen(this.#clients.size);
    client.on('close', () => this.#forget(client));
    client.on('error', () => this.#forget(client));
    const now = nowMs();
    this.#write(client, eventText('snapshot', { nowMs: now, ledger: ledgerView(ledger()), ...model.snapshot(now) }));
    // The snapshot of the only one has everything that was to be told.
    if (this.#clients.size === 1) model.forgetChanges();
  }

  #sendDelta(): void {
    const { model, ledger, nowMs } = this.#options;
    if (this.#clients.size === 0) {
      model.forgetChanges();
      return;
    }
    const now = nowMs();
    const text = eventText('delta', { nowMs: now, ledger: ledgerView(ledger()), ...model.takeDelta(now) });
    for (const client of this.#clients) this.#write(client, text);
  }

  #write(client: ServerResponse, text: string): void {
    client.write(text);
    const unreadBytes = client.writableLength;
    if (unreadBytes <= this.#options.unreadBytesMax) return;
    clientRefused('too_slow', `${unreadBytes} bytes were not read`);
    this.#forget(client);
    client.destroy();
  }

  #forget(client: ServerResponse): void {
    if (this.#clients.delete(client)) clientsOpen(this.#clients.size);
  }
}

/** JSON has no line breaks outside its strings, and none in them: it is one line of data. */
function eventText(event: string, body: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(body)}\n\n`;
}
