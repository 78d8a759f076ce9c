import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Figure } from '../support/figures.ts';
import { waitUntil } from '../support/wait-until.ts';

// What a user waits for: from Enter to the page, and to the first row in SQL, once with the launcher and once with npm. Packages and
// components are in their caches; the data folder is new.

const root = fileURLToPath(new URL('../..', import.meta.url));
const END_DEADLINE_MS = 60_000;
const POLL_MS = 100;

export async function startToFirstRow(): Promise<readonly Figure[]> {
  const launcher = await timeStart(['./ingot', 'up', '--simulate', '25', '--ephemeral']);
  const npm = await timeStart(['npm', 'start', '--', '--ephemeral']);
  return [
    { name: 'ingot up: s to the page', ours: launcher.pageAfterS, yardstick: null },
    { name: 'ingot up: s to the first row in SQL', ours: launcher.rowAfterS, yardstick: null, target: '< 45' },
    { name: 'npm start: s to the first row in SQL', ours: npm.rowAfterS, yardstick: null, target: '< 45' },
  ];
}

interface Started {
  readonly pageAfterS: number;
  readonly rowAfterS: number;
}

async function timeStart([program, ...words]: readonly string[]): Promise<Started> {
  // Every component is started here, whatever the other benchmarks use.
  const { KAFKA_BROKERS: _kafka, SCHEMA_REGISTRY_URL: _registry, MQTT_URL: _mqtt, DATABASE_URL: _database, ...environment } = process.env;
  const startedAtMs = performance.now();
  const sinceStartS = (): number => (performance.now() - startedAtMs) / 1000;
  const child = spawn(program!, words, {
    cwd: root,
    env: { ...environment, HTTP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A process group of its own, which gets the Ctrl-C as one on a terminal does.
    detached: true,
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  let pageUrl: string | null = null;
  let pageAfterS = Number.NaN;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const url = /^page, metrics\s+(\S+)/.exec(line)?.[1];
    if (url === undefined) return;
    pageUrl = url;
    pageAfterS = sinceStartS();
  });
  try {
    await waitUntil('the page', () => pageUrl !== null, { pollMs: POLL_MS, isOver });
    await waitUntil('the first row in SQL', () => hasRow(pageUrl!), { pollMs: POLL_MS, isOver });
    return { pageAfterS, rowAfterS: sinceStartS() };
  } finally {
    if (!isOver()) {
      process.kill(-child.pid!, 'SIGINT');
      const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), END_DEADLINE_MS);
      await ended;
      clearTimeout(timer);
    }
  }
}

/** Whether the sink says that it has committed a row. */
async function hasRow(pageUrl: string): Promise<boolean> {
  const metrics = await (await fetch(`${pageUrl}/metrics`)).text();
  return /^ingot_sink_rows_total\{[^}]*outcome="written"[^}]*\} [1-9]/m.test(metrics);
}
