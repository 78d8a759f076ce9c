import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { type FileLock, takeFileLock } from '../ops/file-lock.ts';
import { cacheFolder } from './setup/installed-parts.mjs';

// Everything listens on the loopback address only: the local stack asks nobody for a password.

export const LOOPBACK = '127.0.0.1';

/** Whether nobody listens on this port. Somebody may take it the next moment; then the component says so when it starts. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await tryListen(port)) !== null;
}

export async function freePort(): Promise<number> {
  const port = await tryListen(0);
  if (port === null) throw new Error(`no free port on ${LOOPBACK}`);
  return port;
}

/** Ports that this process has claimed, until it ends. */
const claims = new Map<number, FileLock>();

/**
 * False when another stack of this user has chosen the port and does not listen on it yet: a component takes seconds from the choice of its
 * port to its start, and of two stacks that start together only one may get the usual ports.
 */
function claim(port: number): boolean {
  if (claims.has(port)) return true;
  const folder = join(cacheFolder(), 'ports');
  let lock: FileLock | null;
  try {
    mkdirSync(folder, { recursive: true });
    lock = takeFileLock(join(folder, `${port}.lock`));
  } catch {
    // Without locks, whoever comes second says that the port is taken.
    return true;
  }
  if (lock !== null) claims.set(port, lock);
  return lock !== null;
}

/**
 * One port for each name: the one of the last start (kept in the file) when it is free, else the preferred one when it is free, else
 * any free one. Clients that were told an address find it again after a restart.
 */
export async function keptPorts<Name extends string>(
  file: string,
  preferred: Readonly<Record<Name, number | null>>,
): Promise<Record<Name, number>> {
  const kept = readKept(file);
  const ports: Partial<Record<Name, number>> = {};
  const taken = new Set<number>();
  for (const name of Object.keys(preferred) as Name[]) {
    const wanted = [kept[name], preferred[name]].filter((port) => typeof port === 'number' && !taken.has(port)) as number[];
    // A port that was kept is this folder's own, unless it is a usual one.
    const ours = wanted.filter((port) => port !== preferred[name] || claim(port));
    const port = (await firstFree(ours)) ?? (await freePort());
    taken.add(port);
    ports[name] = port;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(ports)}\n`);
  return ports as Record<Name, number>;
}

async function firstFree(ports: readonly number[]): Promise<number | null> {
  for (const port of ports) if (await isPortFree(port)) return port;
  return null;
}

function readKept(file: string): Record<string, unknown> {
  try {
    const kept: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof kept === 'object' && kept !== null ? (kept as Record<string, unknown>) : {};
  } catch {
    // No file yet, or a damaged one: the ports are chosen anew.
    return {};
  }
}

/** The port that was listened on for a moment, or null when it is taken. */
async function tryListen(port: number): Promise<number | null> {
  const server = createServer();
  try {
    server.listen({ port, host: LOOPBACK, exclusive: true });
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  } catch {
    return null;
  } finally {
    server.close();
  }
}
