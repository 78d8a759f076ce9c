import { describe, expect, it } from 'vitest';
import type { BrokerFacts } from '../../../src/doctor/doctor-ports.ts';
import { exitCodeFor, type Finding, fail, ok, spanText, warn } from '../../../src/doctor/finding.ts';
import { judgeBroker, judgeQueue } from '../../../src/doctor/judge-broker.ts';
import { judgeClock } from '../../../src/doctor/judge-clock.ts';
import { judgeDuplicates } from '../../../src/doctor/judge-duplicates.ts';
import { judgeSchemas } from '../../../src/doctor/judge-schemas.ts';
import { judgeTopics } from '../../../src/doctor/judge-topics.ts';
import type { TopicDescription } from '../../../src/kafka/log-port.ts';

const said = (findings: readonly Finding[]) => findings.map(({ state, what }) => `${state} ${what}`);

describe('the exit code', () => {
  it('is 3 before 4, and 0 with warnings', () => {
    const unreachable = { ...fail('Kafka', 'away', 'look'), isUnreachable: true } as const;
    expect(exitCodeFor([ok('a', ''), warn('b', '', '')])).toBe(0);
    expect(exitCodeFor([warn('b', '', ''), fail('c', '', '')])).toBe(4);
    expect(exitCodeFor([fail('c', '', ''), unreachable])).toBe(3);
  });
});

it('spans are written short', () => {
  expect([3.4, 1_500, 119_999, 20 * 60_000, 3 * 3_600_000, 7 * 86_400_000].map(spanText)).toEqual([
    '3 ms',
    '1.5 s',
    '120 s',
    '20 min',
    '3 h',
    '7 d',
  ]);
});

describe('topics', () => {
  const topic = (name: string, configs: Record<string, string> = {}, replicationFactor = 3): TopicDescription => ({
    name,
    partitions: 12,
    replicationFactor,
    configs: new Map(Object.entries({ 'min.insync.replicas': '2', 'max.message.bytes': '1048588', ...configs })),
  });
  const judge = (described: readonly TopicDescription[], more: Partial<Parameters<typeof judgeTopics>[0]> = {}) =>
    judgeTopics({ described, differences: [], payloadTopics: ['readings'], maxPayloadBytes: 65_536, ...more });

  it('as they should be are one line', () => {
    expect(said(judge([topic('readings'), topic('alerts')]))).toEqual([
      'ok 2 topics, 12 partitions each, 3 copies; readings are stamped by the broker',
    ]);
  });

  it('that are missing or wrong are told with what to do', () => {
    const findings = judge([topic('readings')], {
      differences: [
        { topic: 'alerts', kind: 'missing', what: 'there is no such topic' },
        { topic: 'aggregates', kind: 'missing', what: 'there is no such topic' },
        { topic: 'readings', kind: 'wrong', what: 'message.timestamp.type is CreateTime, must be LogAppendTime' },
        { topic: 'readings', kind: 'different', what: 'retention.ms is 1, the table says 2' },
      ],
    });
    expect(said(findings)).toEqual([
      'fail not there: alerts, aggregates',
      'fail readings: message.timestamp.type is CreateTime, must be LogAppendTime',
      'warn readings: retention.ms is 1, the table says 2',
    ]);
    expect(findings.every(({ todo }) => todo !== '')).toBe(true);
  });

  it.each([
    ['1', 3, 'warn readings: min.insync.replicas is 1: acks=all may mean a single copy'],
    ['3', 3, 'warn readings: min.insync.replicas is the number of copies: with one broker away nothing can be written'],
    ['4', 3, 'fail readings: min.insync.replicas is above the number of copies: nothing can be written'],
    ['1', 1, 'warn readings: one copy: what Kafka acknowledged is lost with its disk'],
  ])('with min.insync.replicas %s of %d copies', (inSync, copies, expected) => {
    const findings = judge([topic('readings', { 'min.insync.replicas': inSync }, copies), topic('alerts')]);
    expect(said(findings)).toContain(expected);
  });

  it('that lose by configuration, or take less than the bridge does', () => {
    const unclean = topic('readings', { 'unclean.leader.election.enable': 'true', 'max.message.bytes': '66000' });
    expect(said(judge([unclean])).slice(1)).toEqual([
      'warn all topics: unclean.leader.election.enable is true: Kafka may drop what it acknowledged',
      expect.stringContaining('warn readings: max.message.bytes is 66000, MAX_PAYLOAD_BYTES 65536'),
    ]);
  });
});

describe('the clock', () => {
  const at = (aheadMs: number) => judgeClock({ appendTimeMs: 1_000_000 + aheadMs, beforeMs: 999_990, afterMs: 1_000_010 });

  it.each([
    [0, 'ok'],
    [-4_000, 'ok'],
    [6_000, 'warn'],
    [-6_000, 'warn'],
    [-10_000_000, 'warn'],
    [3_500_000, 'warn'],
    [3_700_000, 'fail'],
  ])('%d ms ahead is %s', (aheadMs, state) => {
    expect(at(aheadMs).state).toBe(state);
  });

  it('says by how much and how well it is known', () => {
    expect(at(-60_000).what).toBe(
      "Kafka's clock is 60 s behind this machine's, by the time that the broker stamped on a record, to within 10 ms",
    );
  });

  it('claims nothing that an uncertain measurement does not tell', () => {
    expect(judgeClock({ appendTimeMs: 8_000, beforeMs: 0, afterMs: 8_000 }).state).toBe('ok');
  });
});

describe('the range of duplicates', () => {
  const judge = (recordsByPartition: readonly number[], outageMs = 600_000) =>
    judgeDuplicates({ rangeRecords: 65_536, rangeMs: 86_400_000, recordsByPartition, spanMs: 600_000, outageMs });

  it('is compared with the busiest partition', () => {
    expect(judge([60, 60_000])).toMatchObject({ state: 'ok', what: expect.stringContaining('100 records/s') });
    expect(judge([60, 60_000]).what).toContain('so for 11 min');
    expect(judge([60, 120_000])).toMatchObject({ state: 'warn', what: expect.stringContaining('so for 5 min') });
    expect(judge([60, 120_000], 300_000).state).toBe('ok');
  });

  it('is never longer than its time', () => {
    expect(judge([1]).what).toContain('so for 24 h');
  });

  it('cannot be told without readings', () => {
    expect(judge([0, 0])).toMatchObject({ state: 'ok', what: expect.stringContaining('cannot be told') });
    expect(judge([]).state).toBe('ok');
  });
});

describe('schemas', () => {
  const standing = { subject: 's-value', file: 'schemas/s.avsc', isRegistered: true, isNeededToStart: true, incompatibility: '' };

  it('are registered, or could be, or cannot', () => {
    expect(said(judgeSchemas([standing], false))).toEqual(['ok registered as they are: schemas/s.avsc']);
    const absent = { ...standing, isRegistered: false };
    expect(judgeSchemas([absent], false)).toMatchObject([{ state: 'fail', todo: "'ingot schemas register'" }]);
    expect(judgeSchemas([absent], true)).toMatchObject([{ state: 'warn' }]);
    expect(judgeSchemas([{ ...absent, isNeededToStart: false }], false)).toMatchObject([{ state: 'ok' }]);
    expect(said(judgeSchemas([standing, absent], true)).map((line) => line.split(' ')[0])).toEqual(['ok', 'warn']);
    expect(said(judgeSchemas([{ ...absent, incompatibility: 'field x is missing' }], true))).toEqual([
      'fail schemas/s.avsc cannot follow s-value: field x is missing',
    ]);
  });
});

describe('the MQTT broker', () => {
  const FILTER = 'devices/+/telemetry';
  const facts: BrokerFacts = {
    protocolVersion: 5,
    connectMs: 5,
    latencyMs: 1,
    sessionExpirySeconds: 604_800,
    askedSessionExpirySeconds: 604_800,
    maximumPacketBytes: null,
    receiveMaximum: null,
    maximumQos: null,
    isWildcardAvailable: true,
    isSharedAvailable: true,
    isRetainAvailable: true,
    subscriptions: new Map([[FILTER, 1]]),
    system: new Map(),
  };
  const judge = (more: Partial<BrokerFacts>, filters: readonly string[] = [FILTER]) =>
    judgeBroker({ ...facts, ...more }, { filters, maxPayloadBytes: 65_536, isConfigurationChecked: true });

  it('that grants everything', () => {
    expect(said(judge({}))).toEqual(['ok keeps the session of a bridge that is away for 7 d', 'ok grants QoS 1 for devices/+/telemetry']);
  });

  it.each<[string, Partial<BrokerFacts>, string]>([
    ['speaks 3.1.1', { protocolVersion: 4, sessionExpirySeconds: null }, 'warn it speaks MQTT 3.1.1 only'],
    ['keeps no session', { sessionExpirySeconds: 0 }, 'fail keeps the session of a bridge that is away for 0 ms only'],
    ['keeps it for an hour', { sessionExpirySeconds: 3_600 }, 'warn keeps the session of a bridge that is away for 60 min only'],
    ['keeps it for two days', { sessionExpirySeconds: 172_800 }, 'ok keeps the session of a bridge that is away for 2 d only'],
    ['refuses', { subscriptions: new Map([[FILTER, 'Not authorized']]) }, `fail refuses the subscription to ${FILTER}: Not authorized`],
    ['grants QoS 0', { subscriptions: new Map([[FILTER, 0]]) }, `warn grants QoS 0 only for ${FILTER}`],
    ['has QoS 0 only', { maximumQos: 0 }, `warn grants QoS 0 only for ${FILTER}`],
    ['allows no wildcards', { isWildcardAvailable: false }, 'fail allows no wildcards'],
    ['takes short packets', { maximumPacketBytes: 60_000 }, 'warn takes packets of at most 60000 bytes, MAX_PAYLOAD_BYTES is 65536'],
    ['keeps nothing retained', { isRetainAvailable: false }, 'warn keeps no retained messages'],
    ['tells its limits', { maximumPacketBytes: 200_000, receiveMaximum: 20 }, 'ok takes packets of up to 200000 bytes; 20 unacknowledged'],
    [
      'has dropped messages',
      { system: new Map([['$SYS/broker/publish/messages/dropped', '17']]) },
      'warn has dropped 17 messages since it started',
    ],
  ])('that %s', (_what, more, expected) => {
    const found = said(judge(more)).filter((line) => line.startsWith(expected));
    expect(found, said(judge(more)).join('\n')).toHaveLength(1);
  });

  it('without shared subscriptions, when MQTT_TOPICS has one; with them it is not tried', () => {
    const shared = '$share/ingot/devices/+/telemetry';
    const subscriptions = new Map([[shared, null]]);
    expect(said(judge({ subscriptions, isSharedAvailable: false }, [shared]))[1]).toMatch(/^fail has no shared subscriptions/);
    expect(said(judge({ subscriptions }, [shared]))[1]).toMatch(/^ok .*was not subscribed to/);
  });

  it('that could not be tried is a warning', () => {
    expect(judgeQueue({ published: 0, kept: 0, refusal: 'Not authorized' })).toMatchObject({
      state: 'warn',
      what: expect.stringContaining('Not authorized'),
    });
  });

  it('is not trusted with what cannot be seen, and mosquitto’s settings are named', () => {
    const unchecked = { filters: [], maxPayloadBytes: 1, isConfigurationChecked: false };
    const system = new Map([['$SYS/broker/version', 'mosquitto version 2.0.11']]);
    expect(judgeBroker({ ...facts, system }, unchecked).at(-1)).toMatchObject({
      state: 'warn',
      todo: expect.stringContaining('max_queued_messages 0'),
    });
    expect(judgeBroker(facts, unchecked).at(-1)).toMatchObject({ state: 'warn', todo: expect.stringContaining('--broker-checked') });
  });
});
