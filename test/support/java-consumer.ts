import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requireJavaProgram, requirePart } from '../../src/local-stack/required-program.ts';

// Kafka's own console consumer, in Java: a reader that shares no code with ours, and knows every codec.

export interface JavaConsumerOptions {
  readonly brokers: readonly string[];
  readonly topics: readonly string[];
  /** So many records are waited for. */
  readonly count: number;
}

const DEADLINE_MS = 120_000;
const SEPARATOR = '\u001f';

export interface ConsumedLine {
  /** `null` for none, as the consumer prints it. */
  readonly key: string;
  readonly value: string;
  /** `name:value`, separated by commas; `NO_HEADERS`. */
  readonly headers: string;
}

/** What is visible to read_committed in these topics from their beginnings. Keys, values and headers must be text of one line. */
export async function consumeWithJava({ brokers, topics, count }: JavaConsumerOptions): Promise<ConsumedLine[]> {
  const { stdout } = await promisify(execFile)(
    requireJavaProgram(),
    [
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-cp',
      join(requirePart('kafka'), '*'),
      'org.apache.kafka.tools.consumer.ConsoleConsumer',
      '--bootstrap-server',
      brokers.join(','),
      '--include',
      topics.map((topic) => topic.replaceAll('.', '\\.')).join('|'),
      '--from-beginning',
      '--isolation-level',
      'read_committed',
      '--max-messages',
      String(count),
      '--timeout-ms',
      String(DEADLINE_MS / 2),
      ...['print.key=true', 'print.headers=true', `key.separator=${SEPARATOR}`].flatMap((setting) => ['--property', setting]),
    ],
    { timeout: DEADLINE_MS, maxBuffer: 64 * 1024 * 1024 },
  );
  return stdout
    .split('\n')
    .filter((line) => line.includes(SEPARATOR))
    .map((line) => {
      const [headers, key, value] = line.split(SEPARATOR);
      return { headers: headers!, key: key!, value: value! };
    });
}
