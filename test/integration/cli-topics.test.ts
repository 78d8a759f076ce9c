import { describe, expect, test } from 'vitest';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { freshName } from '../support/stack.ts';

describe('ingot topics, on real Kafka', () => {
  test('creates what is missing, says what is there, and refuses another number of partitions', async () => {
    const environment = { KAFKA_TOPIC_PREFIX: `${freshName('cli')}.` };
    const before = await runIngot(['topics', 'describe'], environment);
    expect(before.code).toBe(4);
    expect(jsonLines(before.out).every((row) => row['state'] === 'missing')).toBe(true);

    const created = await runIngot(['topics', 'create', '--partitions', '3'], environment);
    expect(created).toMatchObject({ code: 0, err: expect.stringContaining('7 created, 0 were there already.') });

    const listed = jsonLines((await runIngot(['topics', 'list'], environment)).out);
    expect(listed).toHaveLength(7);
    for (const row of listed) expect(row).toMatchObject({ state: 'ok', partitions: 3 });

    const described = await runIngot(['topics', 'describe', 'readings', 'aggregator-state', '-o', 'csv'], environment);
    expect(described.code).toBe(0);
    expect(described.out).toContain('message.timestamp.type,LogAppendTime,LogAppendTime,ok');
    expect(described.out).toContain('cleanup.policy,compact,compact,ok');

    const again = await runIngot(['topics', 'create'], environment);
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining('0 created, 7 were there already.') });
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

test('ingot lag says how far a group is behind, and can be a check', async () => {
  const environment = { KAFKA_TOPIC_PREFIX: `${freshName('cli')}.`, KAFKA_PARTITIONS: '2' };
  expect(await runIngot(['lag'], environment)).toMatchObject({ code: 2, err: expect.stringContaining('TOPIC_MISSING') });
  await runIngot(['topics', 'create'], environment);
  const { code, out } = await runIngot(['lag', '--max', '0'], environment);
  expect(code).toBe(0);
  expect(jsonLines(out)).toEqual([
    {
      role: 'aggregator',
      group: `${environment.KAFKA_TOPIC_PREFIX}aggregator`,
      topic: `${environment.KAFKA_TOPIC_PREFIX}readings`,
      committed: null,
      end: 0,
      lag: 0,
    },
    {
      role: 'sink',
      group: `${environment.KAFKA_TOPIC_PREFIX}sink`,
      topic: `${environment.KAFKA_TOPIC_PREFIX}aggregates`,
      committed: null,
      end: 0,
      lag: 0,
    },
    {
      role: 'sink',
      group: `${environment.KAFKA_TOPIC_PREFIX}sink`,
      topic: `${environment.KAFKA_TOPIC_PREFIX}alerts`,
      committed: null,
      end: 0,
      lag: 0,
    },
  ]);
});

test('no broker: exit code 3 and what to check', async () => {
  const { code, err } = await runIngot(['topics', 'list'], { KAFKA_BROKERS: '127.0.0.1:1' });
  expect(code).toBe(3);
  expect(err).toMatch(/^ingot: .*127\.0\.0\.1:1.*KAFKA_BROKERS.*\[KAFKA_UNREACHABLE\]\n$/);
});
