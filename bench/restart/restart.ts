import { setTimeout as sleep } from 'node:timers/promises';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { writeBacklog } from '../aggregator/backlog.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import { type Role, startRole } from '../support/contender.ts';
import type { Figure } from '../support/figures.ts';
import { JournalWatch } from '../support/journal-watch.ts';
import { waitUntil } from '../support/wait-until.ts';
import { writeLiveReadings } from './live-readings.ts';

// How long nothing comes out: after a kill -9 with many devices in the state, and while processes join and leave. Under a steady load, so that
// every partition has something to commit all the time; what a partition needs when nothing happens stands beside it.

const READINGS_PER_DEVICE = 3;
const SETTLED_MS = 5_000;

export async function restartAndRebalance(bench: Bench): Promise<readonly Figure[]> {
  const { components, sizes } = bench;
  const prefix = freshPrefix('restart');
  const topics = topicNames(prefix);
  const log = createKafkaLog({ brokers: components.kafkaBrokers, clientId: 'bench' });
  const admin = log.admin();
  await admin.createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  const codecs = await openSchemaCodecs({ registry: { url: components.registryUrl, autoRegister: true }, topicPrefix: prefix });
  const encoder = await codecs.openEncoder(READING_SCHEMA);
  const { devices, ratePerSecond } = sizes;
  const records = devices * READINGS_PER_DEVICE;
  const at = { topic: topics.readings, partitions: PARTITIONS, devices };
  await writeBacklog(log, encoder, { ...at, records, startMs: Date.now() - READINGS_PER_DEVICE * 1_000 });

  const restores: Restored[] = [];
  const running = new Set<Role>();
  const start = async (id: number): Promise<Role> => {
    const role = await startRole(bench, {
      words: ['aggregate'],
      prefix,
      environment: { INSTANCE_ID: String(id), LOG_LEVEL: 'info', LOG_FORMAT: 'json' },
      onLogLine: (line) => noteRestored(line, restores),
    });
    running.add(role);
    return role;
  };
  const journal = new JournalWatch(log, { topic: topics.aggregatorJournal, partitions: PARTITIONS });
  const live = { stop: async (): Promise<void> => {} };
  try {
    const first = await start(1);
    const committed = async (): Promise<number> =>
      (await admin.committedOffsets(`${prefix}aggregator`, topics.readings)).reduce<number>((sum, offset) => sum + (offset ?? 0), 0);
    await waitUntil('the state of all devices', async () => (await committed()) >= records, { isOver: first.hasEnded });
    Object.assign(live, writeLiveReadings(log, encoder, { ...at, ratePerSecond }));
    await sleep(SETTLED_MS);

    restores.length = 0;
    const killedAtMs = performance.now();
    first.child.kill('SIGKILL');
    running.delete(first);
    const second = await start(1);
    const after = await journal.nextOwnerAfter(killedAtMs);
    const { cpuSeconds } = second.cost();
    await sleep(SETTLED_MS);
    const slowest = Math.max(...restores.map(({ durationMs }) => durationMs));
    const restored = restores.reduce((sum, one) => sum + one.devices, 0);

    const quietFromMs = performance.now();
    await sleep(SETTLED_MS);
    const usualMs = journal.longestPauseMs(quietFromMs, performance.now());
    const joinFromMs = performance.now();
    const joiners = await Promise.all([start(2), start(3)]);
    await Promise.all(joiners.map((role) => role.ready()));
    await sleep(SETTLED_MS);
    const joinMs = journal.longestPauseMs(joinFromMs, performance.now());
    const leaveFromMs = performance.now();
    await Promise.all(joiners.map((role) => role.end()));
    for (const role of joiners) running.delete(role);
    await sleep(SETTLED_MS);
    const leaveMs = journal.longestPauseMs(leaveFromMs, performance.now());

    const row = (name: string, ours: number, target = ''): Figure => ({ name: `restart: ${name}`, ours, yardstick: null, target });
    return [
      row('devices restored', restored),
      row('kill -9 to the first new output, ms', after.firstMs, '< 3000'),
      row('kill -9 to new output of every partition, ms', after.allMs),
      row('the same, CPU of the new process, ms', cpuSeconds * 1000),
      row('fence and restore of the slowest partition, ms', slowest, '< 5000'),
      row('longest pause of a partition, nothing happening, ms', usualMs),
      row('the same, 1 to 3 processes, ms', joinMs),
      row('the same, 3 to 1 processes, ms', leaveMs),
    ];
  } finally {
    await live.stop();
    for (const role of running) await role.end();
    await journal.stop();
    await log.close();
  }
}

interface Restored {
  readonly devices: number;
  readonly durationMs: number;
}

function noteRestored(line: string, into: Restored[]): void {
  if (!line.includes('"partition restored"')) return;
  into.push(JSON.parse(line) as Restored);
}
