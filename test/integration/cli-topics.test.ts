import { describe, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { TOPIC_ROLES, topicNames } from '../../src/kafka/topics.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { freshName, stack } from '../support/stack.ts';
import { encodedRecords } from '../support/written-records.ts';

describe('ingot topics, on real Kafka', () => {
  test('creates what is missing, says what is there, and refuses another number of partitions', async () => {
    const environment = { KAFKA_TOPIC_PREFIX: `${freshName('cli')}.` };
    const before = await runIngot(['topics', 'describe'], environment);
    expect(before.code).toBe(4);
    expect(jsonLines(before.out).every((row) => row['state'] === 'missing')).toBe(true);

    const created = await runIngot(['topics', 'create', '--partitions', '3'], environment);
    expect(created).toMatchObject({ code: 0, err: expect.stringContaining(`${TOPIC_ROLES.length} created, 0 were there already.`) });

    const listed = jsonLines((await runIngot(['topics', 'list'], environment)).out);
    expect(listed).toHaveLength(TOPIC_ROLES.length);
    for (const row of listed) expect(row).toMatchObject({ state: 'ok', partitions: 3 });

    const described = await runIngot(['topics', 'describe', 'readings', 'aggregator-state', '-o', 'csv'], environment);
    expect(described.code).toBe(0);
    expect(described.out).toContain('message.timestamp.type,LogAppendTime,LogAppendTime,ok');
    expect(described.out).toContain('cleanup.policy,compact,compact,ok');

    const again = await runIngot(['topics', 'create'], environment);
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining(`0 created, ${TOPIC_ROLES.length} were there already.`) });
    const other = await runIngot(['topics', 'create', '--partitions', '4'], environment);
    expect(other).toMatchObject({ code: 2, out: '', err: expect.stringContaining('exists with 3') });
  });

  test('an unknown topic is a usage error', async () => {
    expect(await runIngot(['topics', 'describe', 'frobs'])).toMatchObject({
      code: 2,
      err: expect.stringContaining("'frobs' is not a topic of Ingot"),
    });
  });
});

describe('ingot lag, on real Kafka', () => {
  const prefix = `${freshName('lag')}.`;
  const environment = { KAFKA_TOPIC_PREFIX: prefix, KAFKA_PARTITIONS: '2' };
  const topics = topicNames(prefix);

  test('says which topic is missing', async () => {
    expect(await runIngot(['lag'], environment)).toMatchObject({ code: 2, err: expect.stringContaining('TOPIC_MISSING') });
  });

  test('says how far each group is behind, and can be a check', async () => {
    await runIngot(['topics', 'create'], environment);
    const log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test'), ssl: false });
    const lane = log.produceLane({ name: 'test', acks: 'all' });
    const keys = ['d1', 'd2', 'd3', 'd4', 'd5'];
    for (const batch of encodedRecords(
      topics.readings,
      2,
      keys.map((key) => ({ key, value: 'x' })),
    ))
      await lane.send([batch]);
    const before = await runIngot(['lag'], environment);
    expect(jsonLines(before.out).map(({ role, topic, committed, end, lag }) => [role, topic, committed, end, lag])).toEqual([
      ['aggregator', topics.readings, null, 5, 5],
      ['sink', topics.aggregates, null, 0, 0],
      ['sink', topics.alerts, null, 0, 0],
    ]);
    expect((await runIngot(['lag', '--max', '4'], environment)).code).toBe(4);
    expect((await runIngot(['lag', '--max', '5'], environment)).code).toBe(0);

    const membership = log.membership({
      groupId: `${prefix}aggregator`,
      topic: topics.readings,
      sessionTimeoutMs: 10_000,
      evictOwnClientId: false,
    });
    const assigned = Promise.withResolvers<readonly number[]>();
    await membership.start({ onAssigned: assigned.resolve, onFailed: assigned.reject });
    expect(await assigned.promise).toEqual([0, 1]);
    await membership.commitOffsets(new Map([[0, 1]]));
    const rows = jsonLines((await runIngot(['lag', '--by-partition'], environment)).out).filter((row) => row['role'] === 'aggregator');
    expect(rows.map(({ partition, committed }) => [partition, committed])).toEqual([
      [0, 1],
      [1, null],
    ]);
    expect(rows.reduce((total, row) => total + Number(row['lag']), 0)).toBe(4);
    await membership.stop(2_000);
    await log.close();
  });
});

test('no broker: exit code 3 and what to check', async () => {
  const { code, err } = await runIngot(['topics', 'list'], { KAFKA_BROKERS: '127.0.0.1:1' });
  expect(code).toBe(3);
  expect(err).toMatch(/^ingot: .*127\.0\.0\.1:1.*KAFKA_BROKERS.*\[KAFKA_UNREACHABLE\]\n$/);
});
