import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { Config } from '../config/settings-table.ts';
import type { AlertRule } from '../core/alert-rule.ts';
import { topicNames } from '../kafka/topics.ts';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA, type OurSchema } from '../registry/our-schemas.ts';
import { openSchemaCodecs } from '../registry/schema-codecs.ts';
import { foldSettings } from './roles/aggregator-role.ts';
import { connectLog } from './roles/connect-log.ts';
import { registryAddress } from './roles/connect-registry.ts';
import { startSimulatorProgram } from './simulator-program.ts';
import { readTopics } from './tail/read-topics.ts';
import type { Since } from './tail/since.ts';
import { decodeRecord, placeText } from './tail/tail-command.ts';

// Reads what came out, read_committed, and has the simulators' program compare it with what was sent.

export interface VerifyTruthOptions {
  /** As `ingot simulate --truth` wrote it. */
  readonly truthPath: string;
  /** Null: whatever the rows have. */
  readonly windowSizeMs: number | null;
  readonly since: Since;
  readonly output: 'text' | 'json';
  /** How many differences the report names. */
  readonly show: number;
  readonly signal: AbortSignal;
  readonly stderr: NodeJS.WritableStream;
}

export interface VerifyVerdict {
  /** 0 no difference, 4 differences; 1 and 2 when the truth file could not be used: the program has said why on stderr. */
  readonly exitCode: number;
  readonly report: string;
}

/** One look at the topics as they are now. IngotErrors of Kafka and the registry. */
export async function verifyTruth(config: Config, options: VerifyTruthOptions): Promise<VerifyVerdict> {
  const rules = JSON.stringify(foldSettings(config).rules.map(truthRule));
  const { truthPath, windowSizeMs, show, output, signal } = options;
  const program = startSimulatorProgram({
    args: [
      'verify',
      `--truth=${truthPath}`,
      `--rules=${rules}`,
      `--show=${show}`,
      `--output=${output}`,
      ...(windowSizeMs === null ? [] : [`--window-size=${windowSizeMs}ms`]),
    ],
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
  });
  const { stdin, stdout } = program.child;
  if (stdin === null || stdout === null) throw new Error('the program was started without pipes');
  const report = text(stdout);
  try {
    await pipeline(Readable.from(linesOf(rowsOf(config, options))), stdin);
  } catch (error) {
    // A program that ends early (it cannot read the truth file) breaks the pipe; its exit code tells.
    if (!isBrokenPipe(error)) throw error;
  }
  return { exitCode: await program.ended, report: await report };
}

async function* linesOf(rows: AsyncIterable<object>): AsyncGenerator<string, void, void> {
  for await (const row of rows) yield `${JSON.stringify(row)}\n`;
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE');
}

/** A rule in the words of the simulators. */
function truthRule({ id, metric, direction, threshold, deadband, forMs, offDelayMs }: AlertRule): Record<string, unknown> {
  return { id, metric, [direction]: threshold, deadband, forMs, offDelayMs };
}

/** The truth file says what was sent and when, not when the partition's clock had gone on for long enough without anything. */
function isAboutSilence(row: { readonly ruleId?: string }): boolean {
  return row.ruleId?.endsWith(':stale') === true;
}

/** Both topics up to their ends, decoded. Each partition comes in its order. */
async function* rowsOf(config: Config, options: VerifyTruthOptions): AsyncGenerator<object, void, void> {
  const { topicPrefix, clientId } = config.kafka;
  const codecs = await openSchemaCodecs({ registry: { ...registryAddress(config), autoRegister: false }, topicPrefix });
  const log = connectLog(config, `${clientId}-verify`);
  const { since, signal, stderr } = options;
  const read = async function* <Value extends object>(topic: 'aggregates' | 'alerts', schema: OurSchema<Value>) {
    const decoder = codecs.openDecoder(schema);
    for await (const record of readTopics(log, { topics: [topicNames(topicPrefix)[topic]], since, follow: false, signal })) {
      const decoded = await decodeRecord(decoder, record);
      if (decoded.kind !== 'value') {
        stderr.write(`verify: ${placeText(record)} cannot be decoded and is left out: ${decoded.detail}\n`);
      } else if (!isAboutSilence(decoded.value)) {
        yield { topic, ...decoded.value };
      }
    }
  };
  try {
    yield* read('aggregates', AGGREGATE_SCHEMA);
    yield* read('alerts', ALERT_SCHEMA);
  } finally {
    await log.close();
  }
}
