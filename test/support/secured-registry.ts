import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificates } from './certificates.ts';

// A registry behind TLS and a password, as it stands in a company: a proxy before the test run's own.

export interface SecuredRegistry {
  readonly url: string;
  /** The same under an address that is not in the certificate. */
  readonly urlByAddress: string;
  /** Requests that were let through. */
  readonly passed: () => number;
  stop(): Promise<void>;
}

export interface SecuredRegistryOptions {
  /** Of the registry behind. */
  readonly target: string;
  readonly certificates: Certificates;
  /** `user:password`. */
  readonly auth: string;
  /** Also ask for a client certificate. */
  readonly asksForCertificate?: boolean;
}

export async function startSecuredRegistry(options: SecuredRegistryOptions): Promise<SecuredRegistry> {
  const { target, certificates, auth, asksForCertificate = false } = options;
  const { server: pair, ca } = certificates;
  const expected = `Basic ${Buffer.from(auth).toString('base64')}`;
  let passed = 0;
  const server = createServer(
    {
      cert: readFileSync(pair.cert),
      key: readFileSync(pair.key),
      ca: readFileSync(ca),
      requestCert: asksForCertificate,
      rejectUnauthorized: asksForCertificate,
    },
    (asked, answer) => {
      if (asked.headers.authorization !== expected) {
        answer.writeHead(401, { 'www-authenticate': 'Basic', 'content-type': 'text/html' }).end('<h1>401 Authorization Required</h1>');
        return;
      }
      passed += 1;
      const { host: _host, authorization: _authorization, ...headers } = asked.headers;
      const forwarded = request(new URL(target).origin + asked.url, { method: asked.method ?? 'GET', headers }, (got: IncomingMessage) => {
        answer.writeHead(got.statusCode ?? 502, got.headers);
        got.pipe(answer);
      });
      forwarded.on('error', () => answer.writeHead(502).end());
      asked.pipe(forwarded);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const path = new URL(target).pathname;
  return {
    url: `https://localhost:${port}${path}`,
    urlByAddress: `https://127.0.0.1:${port}${path}`,
    passed: () => passed,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
