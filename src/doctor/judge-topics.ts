import type { TopicDescription } from '../kafka/log-port.ts';
import type { TopicDifference } from './doctor-ports.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const CHECK = 'topics';

/** A record is its payload, a key, headers with the cause when it is a dead letter, and the batch around it. */
const RECORD_OVERHEAD_BYTES = 4096;

export interface TopicsToJudge {
  /** Those of Ingot's topics that exist. */
  readonly described: readonly TopicDescription[];
  /** What the table of topics has to say about them. */
  readonly differences: readonly TopicDifference[];
  /** What the bridge writes payloads into: readings and its dead letters. */
  readonly payloadTopics: readonly string[];
  readonly maxPayloadBytes: number;
}

/** The topics as they are against what Ingot needs, and against what keeps acknowledged records. */
export function judgeTopics(topics: TopicsToJudge): Finding[] {
  const { described, differences } = topics;
  const findings = [...differencesOf(differences), ...durabilityOf(described), ...sizesOf(topics)];
  if (findings.some((finding) => finding.state === 'fail')) return findings;
  const [first] = described;
  const what = `${described.length} topics, ${first?.partitions ?? 0} partitions each, ${first?.replicationFactor ?? 0} ${first?.replicationFactor === 1 ? 'copy' : 'copies'}; readings are stamped by the broker`;
  return [ok(CHECK, what), ...findings];
}

function differencesOf(differences: readonly TopicDifference[]): Finding[] {
  const missing = differences.filter(({ kind }) => kind === 'missing').map(({ topic }) => topic);
  const others = differences.filter(({ kind }) => kind !== 'missing');
  return [
    ...(missing.length > 0 ? [fail(CHECK, `not there: ${missing.join(', ')}`, "'ingot topics create'")] : []),
    ...others.map(({ topic, kind, what }) =>
      kind === 'wrong'
        ? fail(CHECK, `${topic}: ${what}`, "No role starts like this. Change it with Kafka's tools; see 'ingot topics describe'")
        : warn(CHECK, `${topic}: ${what}`, "Ingot works with it. Change it if it is not on purpose; see 'ingot topics describe'"),
    ),
  ];
}

/** One line per kind of problem, with the topics that have it: they were usually made in the same way. */
function durabilityOf(described: readonly TopicDescription[]): Finding[] {
  const facts = described.map((topic) => ({
    name: topic.name,
    copies: topic.replicationFactor,
    inSync: Number(topic.configs.get('min.insync.replicas') ?? 1),
    isUnclean: topic.configs.get('unclean.leader.election.enable') === 'true',
  }));
  const named = (isMeant: (fact: (typeof facts)[number]) => boolean) => facts.filter(isMeant).map(({ name }) => name);
  const rows: readonly (readonly [FindingMaker, readonly string[], string, string])[] = [
    [
      fail,
      named(({ copies, inSync }) => inSync > copies),
      'min.insync.replicas is above the number of copies: nothing can be written',
      'Lower it, or add replicas',
    ],
    [
      warn,
      named(({ copies }) => copies === 1),
      'one copy: what Kafka acknowledged is lost with its disk',
      'On a cluster create topics with --replication 3',
    ],
    [
      warn,
      named(({ copies, inSync }) => copies > 1 && inSync === 1),
      'min.insync.replicas is 1: acks=all may mean a single copy',
      'Set min.insync.replicas=2',
    ],
    [
      warn,
      named(({ copies, inSync }) => copies > 1 && inSync === copies),
      'min.insync.replicas is the number of copies: with one broker away nothing can be written',
      'Set it one lower than the number of copies',
    ],
    [
      warn,
      named(({ isUnclean }) => isUnclean),
      'unclean.leader.election.enable is true: Kafka may drop what it acknowledged',
      'Set unclean.leader.election.enable=false',
    ],
  ];
  return rows
    .filter(([, names]) => names.length > 0)
    .map(([make, names, what, todo]) => make(CHECK, `${listed(names, described)}: ${what}`, todo));
}

type FindingMaker = (check: string, what: string, todo: string) => Finding;

function listed(names: readonly string[], all: readonly unknown[]): string {
  return names.length === all.length ? 'all topics' : names.join(', ');
}

function sizesOf({ described, payloadTopics, maxPayloadBytes }: TopicsToJudge): Finding[] {
  return described
    .filter((topic) => payloadTopics.includes(topic.name))
    .flatMap((topic) => {
      const maxBytes = Number(topic.configs.get('max.message.bytes') ?? Number.POSITIVE_INFINITY);
      if (maxBytes >= maxPayloadBytes + RECORD_OVERHEAD_BYTES) return [];
      const what = `${topic.name}: max.message.bytes is ${maxBytes}, MAX_PAYLOAD_BYTES ${maxPayloadBytes}: payloads in between become dead letters that hold only their first 4 KiB`;
      return [
        warn(CHECK, what, `Set max.message.bytes to at least ${maxPayloadBytes + RECORD_OVERHEAD_BYTES}, or lower MAX_PAYLOAD_BYTES`),
      ];
    });
}
