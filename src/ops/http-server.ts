import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IngotError } from '../errors.ts';
import { log } from './log.ts';

// The HTTP server of a process: health and metrics, and whatever routes the caller adds (the page and its API).

export interface HttpRoute {
  readonly method: 'GET' | 'POST';
  /** The exact path, or everything below it when it ends with a slash. */
  readonly path: string;
  /** Open routes tell nothing about devices and need no token. */
  readonly isOpen: boolean;
  handle(request: IncomingMessage, response: ServerResponse, url: URL): void | Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** HTTP_TOKEN: routes that are not open ask for it. */
  readonly token: string | null;
  readonly routes: readonly HttpRoute[];
}

export interface HttpServer {
  /** `http://127.0.0.1:7070`, without a slash at the end. */
  readonly url: string;
  /** From now on these are answered too. */
  addRoutes(routes: readonly HttpRoute[]): void;
  /** Stops listening, ends idle connections at once and the others at the deadline. Never rejects. */
  close(deadlineMs: number): Promise<void>;
}

const CONNECTIONS_MAX = 512;
const REQUEST_TIMEOUT_MS = 10_000;

/** IngotError `PORT_IN_USE` when the address is taken. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: 16 * 1024 });
  server.maxConnections = CONNECTIONS_MAX;
  const routes = [...options.routes];
  server.on('request', (request, response) => void answer({ ...options, routes }, request, response));
  server.on('clientError', (_error, socket) => socket.destroy());
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const url = `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`;
  log('http').info({ url }, 'listening');
  return { url, addRoutes: (more) => void routes.push(...more), close: (deadlineMs) => closeServer(server, deadlineMs) };
}

function listen(server: Server, { host, port }: HttpServerOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', (error: NodeJS.ErrnoException) => {
    const why = error.code === 'EADDRINUSE' ? 'is in use by another process' : `cannot be used (${error.code ?? error.message})`;
    const next = 'Stop it, or choose another with HTTP_PORT (0 takes a free one) or HTTP_HOST.';
    reject(new IngotError('PORT_IN_USE', `The HTTP address ${host}:${port} ${why}. ${next}`, { cause: error }));
  });
  server.listen({ host, port }, resolve);
  return promise;
}

async function closeServer(server: Server, deadlineMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), deadlineMs);
  await promise;
  clearTimeout(timer);
}

async function answer(options: HttpServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('cache-control', 'no-store');
  try {
    const url = URL.parse(request.url ?? '/', 'http://ingot.invalid');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const atPath = url ? options.routes.filter((route) => matches(route, url.pathname)) : [];
    const route = atPath.find((candidate) => candidate.method === method);
    if (!url || atPath.length === 0) return sendText(response, 404, 'There is nothing here.');
    if (!route) return sendText(response, 405, `This answers ${atPath.map((candidate) => candidate.method).join(', ')}.`);
    const refusal = route.isOpen ? null : refusalOf(options, request);
    if (refusal) return sendText(response, refusal.status, refusal.text);
    await route.handle(request, response, url);
  } catch (error) {
    log('http').error({ path: request.url?.slice(0, 200), error: (error as Error).message }, 'a request failed');
    if (response.headersSent) response.destroy();
    else sendText(response, 500, 'The request failed; the log says why.');
  }
}

function matches(route: HttpRoute, path: string): boolean {
  return route.path.endsWith('/') && route.path !== '/' ? path.startsWith(route.path) : path === route.path;
}

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/;

interface Refusal {
  readonly status: number;
  readonly text: string;
}

/**
 * Without a token only this machine may look, and only under a name of this machine: a page of somebody else whose host name resolves
 * to 127.0.0.1 (DNS rebinding) is refused.
 */
function refusalOf({ host, token }: HttpServerOptions, request: IncomingMessage): Refusal | null {
  if (token !== null) {
    if (isEqualSecret(bearerOf(request), token)) return null;
    return { status: 401, text: 'Give HTTP_TOKEN as "Authorization: Bearer ..." or as the cookie ingot_token.' };
  }
  if (!LOOPBACK_HOST.test(host) && host !== '::1')
    return { status: 403, text: 'HTTP_HOST is open to other machines; set HTTP_TOKEN to allow this.' };
  return LOOPBACK_HOST.test(request.headers.host ?? '') ? null : { status: 403, text: 'Use localhost or 127.0.0.1 in the address.' };
}

function bearerOf(request: IncomingMessage): string {
  const header = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  const cookie = /(?:^|;\s*)ingot_token=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
  return header ?? cookie ?? '';
}

function isEqualSecret(given: string, expected: string): boolean {
  const left = Buffer.from(given);
  const right = Buffer.from(expected);
  return left.length === right.length && timingSafeEqual(left, right);
}

export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(`${JSON.stringify(body)}\n`);
}
