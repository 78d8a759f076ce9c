import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { HttpRoute } from '../ops/http-server.ts';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing from elsewhere, nothing inline, no frame around it, and no way to make markup out of a text. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/**
 * The files of public/, read once; index.html is `/`. They are open: they tell nothing about devices, and the page must be there to ask
 * for the token.
 */
export function pageFileRoutes(): readonly HttpRoute[] {
  const folder = new URL('./public/', import.meta.url);
  return readdirSync(folder).flatMap((name) => {
    const contentType = CONTENT_TYPES[extname(name)];
    if (contentType === undefined) return [];
    const body = readFileSync(new URL(name, folder));
    const headers = { ...HEADERS, 'content-type': contentType, 'content-length': body.length };
    const path = name === 'index.html' ? '/' : `/${name}`;
    return [{ method: 'GET', path, isOpen: true, handle: (_request, response) => void response.writeHead(200, headers).end(body) }];
  });
}
