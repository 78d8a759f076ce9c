import { afterEach, describe, expect, test } from 'vitest';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import type { EncodedRecords } from '../../src/kafka/log-port.ts';
import { topicNames } from '../../src/kafka/topics.ts';
import { ForeignProducer } from '../support/foreign-producer.ts';
import { jsonLines, runIngot, startIngot } from '../support/ingot-process.ts';
import { faultSeed, seededRandom } from '../support/kill-schedule.ts';
import { freezeInTransaction } from '../support/open-transaction.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import { readTopic, type TopicRecord } from '../support/read-topic.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import type { LogDump } from '../support/topic-dump.ts';
import type { RecordToWrite } from '../support/written-records.ts';

// kill -9 of a replay at random moments and in the middle of a transaction, and two replays at a time. Judged by the topics: every letter
// that can be a reading is one, exactly once, with one mark, and the fold of it all is that of the oracle (I11).

const PARTITIONS = 2;
const DEVICES = 12;
const MESSAGES = 1_500;
const REFUSED_READINGS = 300;
const HOPELESS = 20;
const LETTERS = MESSAGES + REFUSED_READINGS;
const KILLS = 3;
const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';
const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const firstSeed = faultSeed();

let pipeline: TestPipeline | undefined;
afterEach(async () => {
  await pipeline?.close();
});

const device = (index: number) => `d${index % DEVICES}`;

/** Letters that can be readings now, and some that never will. */
async function writeLetters({ prefix, log }: TestPipeline): Promise<void> {
  const topics = topicNames(prefix);
  const now = Date.now();
  const causes = (stage: string, topic: string): [string, string][] => [
    ['original-topic', topic],
    ['failure-reason', stage === 'bridge' ? 'metric_out_of_range' : 'state_limit'],
    ['failure-stage', stage],
    ['timestamp', String(now)],
    ['attempt', '1'],
  ];
  const message = (index: number, payload: string): RecordToWrite => ({
    key: device(index),
    value: payload,
    headers: causes('bridge', `devices/${device(index)}/telemetry`),
  });
  const said = (index: number) => JSON.stringify({ ts: now - (index % 300) * 100, seq: index, temperature: 20 + (index % 100) });
  const messages = Array.from({ length: MESSAGES }, (_, index) => message(index, said(index)));
  const hopeless = Array.from({ length: HOPELESS }, (_, index) => message(index, `{"ts":1,"seq":${index}}`));
  const producer = await ForeignProducer.open({ prefix, partitions: PARTITIONS });
  const readings = Array.from({ length: REFUSED_READINGS }, (_, index): RecordToWrite => {
    const { key, value } = producer.record({ deviceId: device(index), eventTime: now - index, identity: 1_000_000 + index, humidity: 50 });
    return { key, value: value!, headers: causes('aggregator', topics.readings) };
  });
  await producer.close();
  const lane = log.produceLane({ name: 'letters', acks: 'all' });
  for (const [topic, letters] of [
    [topics.bridgeDeadLetters, [...hopeless, ...messages]],
    [topics.readingDeadLetters, readings],
  ] as const) {
    await lane.send(batchesOf(topic, letters));
  }
  await lane.close(1_000);
}

/** One batch per partition. */
function batchesOf(topic: string, letters: readonly RecordToWrite[]): EncodedRecords[] {
  const ofPartition = Map.groupBy(letters, ({ key }) => partitionOfKey(key!, PARTITIONS));
  return [...ofPartition].map(([partition, records]) => {
    const encoder = new RecordsEncoder();
    const baseTimestampMs = Date.now();
    encoder.reset(baseTimestampMs);
    for (const { key, value, headers } of records) encoder.add(Buffer.from(key!), Buffer.from(value), baseTimestampMs, headers);
    return { topic, partition, records: encoder.take(), count: encoder.count, baseTimestampMs };
  });
}

interface Aftermath {
  readonly letters: readonly TopicRecord[];
  readonly readings: readonly TopicRecord[];
  readonly marks: readonly TopicRecord[];
}

async function readAll({ prefix, log }: TestPipeline): Promise<Aftermath> {
  const topics = topicNames(prefix);
  const letters = [...(await readTopic(log, topics.bridgeDeadLetters)), ...(await readTopic(log, topics.readingDeadLetters))];
  return { letters, readings: await readTopic(log, topics.readings), marks: await readTopic(log, topics.replayMarks) };
}

const placeOf = ({ topic, partition, offset }: TopicRecord) => `${topic}/${partition}/${offset}`;

/** Every letter that is no hopeless one was appended once, and has one mark. */
function expectEachOnce({ letters, readings, marks }: Aftermath): void {
  const wanted = letters.filter(({ value }) => !value.toString('latin1').startsWith('{"ts":1,')).map(placeOf);
  expect(wanted).toHaveLength(LETTERS);
  expect(readings.map(({ headers }) => headers['replay-of']).sort()).toEqual([...wanted].sort());
  expect(marks.map(({ key }) => key).sort()).toEqual([...wanted].sort());
  expect(new Set(readings.map(({ headers }) => headers['replay-identity'])).size).toBe(LETTERS);
}

/** Those that this test has written are no output of the fold. */
function withoutLettersOfOthers(dump: LogDump): LogDump {
  const isOfFold = ({ headers }: TopicRecord) => headers['source-offset'] !== undefined;
  return { ...dump, partitions: dump.partitions.map((each) => ({ ...each, deadLetters: each.deadLetters.filter(isOfFold) })) };
}

/** Anchored: without that each place of the text would be tried. */
const lines = (count: number) => new RegExp(`^(?:[^\\n]*\\n){${count}}`);

/** Kills replays until `KILLS` have died, the first in the middle of a transaction. */
async function killReplays(running: TestPipeline, random: () => number): Promise<string[]> {
  const moments: string[] = [];
  const frozen = running.start('dlq replay');
  const at = { topic: topicNames(running.prefix).readings, partition: random() < 0.5 ? 0 : 1 };
  const isFrozen = await Promise.race([
    freezeInTransaction(frozen, { log: running.log, ...at }).then(() => true),
    frozen.ended().then(() => false),
  ]);
  moments.push(isFrozen ? 'in a transaction' : 'too late');
  await frozen.kill();
  while (moments.length < KILLS) {
    const row = 1 + Math.floor(random() * (LETTERS / KILLS));
    const replay = startIngot(['dlq', 'replay', '-o', 'jsonl'], running.environment);
    await replay.waitForOutput(lines(row)).catch(() => undefined);
    replay.child.kill('SIGKILL');
    const { code } = await replay.ended;
    moments.push(code === null ? `after ${row} rows` : 'too late');
  }
  return moments;
}

describe.each(Array.from({ length: repeats }, (_, index) => firstSeed + index))('dead letters (INGOT_FAULT_SEED=%d)', (seed) => {
  test('are replayed once each, whenever the replay is killed, and folded as the oracle folds them', async () => {
    pipeline = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES });
    await writeLetters(pipeline);
    const aggregator = pipeline.start('aggregate');
    await aggregator.logged('partition restored');
    const moments = await killReplays(pipeline, seededRandom(seed));
    const last = await runIngot(['dlq', 'replay'], pipeline.environment);
    expect(last).toMatchObject({ code: 4, err: expect.stringContaining(`${HOPELESS} refused again`) });
    const counts = Map.groupBy(jsonLines(last.out), (row) => String(row['outcome']));
    expect((counts.get('replayed')?.length ?? 0) + counts.get('already_replayed')!.length).toBe(LETTERS);
    expectEachOnce(await readAll(pipeline));
    await pipeline.settle();
    const verdict = pipeline.verdict(withoutLettersOfOthers(await pipeline.dump()));
    expect(verdict.violations).toEqual([]);
    expect(Object.fromEntries(verdict.outcomes)).toEqual({ counted: LETTERS });
    process.stdout.write(`killed ${moments.join(', ')}: ${LETTERS} letters, ${LETTERS} readings, lost 0, doubled 0\n`);
    expect(await aggregator.stop()).toBe(0);
  });

  test('are replayed once each by two replays at the same time: one may be told that it is fenced', async () => {
    pipeline = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES });
    await writeLetters(pipeline);
    const { environment } = pipeline;
    const both = await Promise.all([0, 1].map(() => startIngot(['dlq', 'replay', '-o', 'jsonl'], environment).ended));
    for (const { code, err } of both) {
      expect([1, 4]).toContain(code);
      if (code === 1) expect(err).toContain('Another replay has taken over partition');
    }
    expect((await runIngot(['dlq', 'replay'], environment)).code).toBe(4);
    expectEachOnce(await readAll(pipeline));
    process.stdout.write(`two replays ended with ${both.map(({ code }) => code).join(' and ')}\n`);
  });
});
