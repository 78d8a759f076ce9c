import { parseArgs } from 'node:util';
import { nameUuid } from '../../src/aggregator/name-uuid.ts';
import { DEFAULT_PACE } from '../../src/aggregator/pacing.ts';
import { READING_REUSE, routedReading } from '../../src/aggregator/routed-reading.ts';
import { SliceWriter } from '../../src/aggregator/slice-writer.ts';
import { highTemperatureRule } from '../../src/core/alert-rule.ts';
import { FOLD_VERSION, type FoldSettings } from '../../src/core/fold-settings.ts';
import { partitionForKey } from '../../src/core/murmur2.ts';
import { PartitionFold } from '../../src/core/partition-fold.ts';
import type { Reading } from '../../src/core/reading.ts';
import { encodeRecordBatch, RecordReader, RecordsEncoder } from '../../src/core/record-batch.ts';
import { createEncoder, parseAvroType } from '../../src/registry/avro-codec.ts';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA, READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { NO_SCHEMA_STORE } from '../../src/registry/schema-store.ts';
import { createValueDecoder } from '../../src/registry/value-decoder.ts';
import type { ValueDecoder } from '../../src/registry/value-decoder-port.ts';
import { readingOf } from './backlog.ts';

// Where the CPU time of a reading goes inside the aggregator: the stages of one partition on bytes in memory, each run with one stage more
// than the one before. No Kafka, so neither the fetch nor the transactions: what the process costs beyond this is theirs (drain.ts).
// node bench/aggregator/stages.ts --records 2000000 --devices 1000

const { values: flags } = parseArgs({
  options: {
    records: { type: 'string', default: '2000000' },
    devices: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
  },
});
const PARTITIONS = 4;
const PARTITION = 0;
const RECORDS_PER_BATCH = 2_000;
const RECORDS_PER_SLICE = DEFAULT_PACE.behind.recordsMax;
const SCHEMA_ID = 1;

interface Backlog {
  readonly batches: readonly Buffer[];
  readonly records: number;
}

/** What one partition of the whole backlog holds. */
function backlogOfOnePartition(records: number, devices: number): Backlog {
  const startMs = Math.floor(Date.now() / 60_000) * 60_000;
  const encoder = createEncoder<object>({ schemaId: SCHEMA_ID, type: parseAvroType(READING_SCHEMA.text) });
  const keys = Array.from({ length: devices }, (_, device) => Buffer.from(`device-${device}`));
  const ours = keys.map((key) => partitionForKey(key, PARTITIONS) === PARTITION);
  const into = new RecordsEncoder(1 << 20);
  into.reset(startMs);
  const batches: Buffer[] = [];
  let written = 0;
  const cut = (): void => {
    if (into.count === 0) return;
    const { count } = into;
    batches.push(encodeRecordBatch({ records: into.take(), count, baseTimestampMs: startMs, baseOffset: written, appendTime: startMs }));
    written += count;
    into.reset(startMs);
  };
  const options = { devices, startMs: startMs - Math.ceil(records / devices) * 1_000 };
  for (let n = 0; n < records; n += 1) {
    const device = n % devices;
    if (!ours[device]) continue;
    into.add(keys[device]!, encoder.encode(readingOf(n, device, options)), startMs);
    if (into.count === RECORDS_PER_BATCH) cut();
  }
  cut();
  return { batches, records: written };
}

async function openDecoder(): Promise<ValueDecoder<Reading>> {
  const decoder = createValueDecoder<Reading>({
    readerType: parseAvroType(READING_SCHEMA.text),
    reuse: READING_REUSE,
    registry: { schemaOf: async () => ({ schemaType: 'AVRO', text: READING_SCHEMA.text }) },
    store: NO_SCHEMA_STORE,
  });
  await decoder.load(SCHEMA_ID);
  return decoder;
}

const settings: FoldSettings = {
  windowSizeMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: null,
  openPartsPerDeviceMax: 64,
  devicesPerPartitionMax: 1_000_000,
  duplicateOffsets: 65_536,
  rules: [highTemperatureRule(100, 5)],
  foldVersion: FOLD_VERSION,
};

const topics = { readings: 'r', aggregates: 'a', alerts: 'l', readingsDlq: 'd', state: 's', journal: 'j', devices: 'p' };
const encoders = {
  aggregate: createEncoder<object>({ schemaId: 2, type: parseAvroType(AGGREGATE_SCHEMA.text) }).encode,
  alert: createEncoder<object>({ schemaId: 3, type: parseAvroType(ALERT_SCHEMA.text) }).encode,
};

type Stage = 'batches' | 'decode' | 'fold' | 'write';

class Pipeline {
  readonly #decoder: ValueDecoder<Reading>;
  readonly #reader = new RecordReader();
  readonly #fold = new PartitionFold({ topic: 'r', partition: PARTITION, settings, uuid: nameUuid });
  readonly #writer = new SliceWriter({ topics, partition: PARTITION, encoders });
  /** Bytes of all transactions. */
  writtenBytes = 0;
  decoded = 0;

  constructor(decoder: ValueDecoder<Reading>) {
    this.#decoder = decoder;
    this.#writer.begin(0);
  }

  run(batches: readonly Buffer[], upTo: Stage): void {
    const reader = this.#reader;
    const context = { decoder: this.#decoder, partitions: PARTITIONS };
    let pending = 0;
    let fetchOffset = 0;
    for (const batch of batches) {
      reader.reset({ batches: batch, fetchOffset, abortedTransactions: [] });
      while (reader.next()) {
        if (upTo === 'batches') continue;
        const routed = routedReading(reader, context, PARTITION);
        if (routed.kind !== 'value') throw new Error(routed.kind);
        this.decoded += 1;
        if (upTo === 'decode') continue;
        this.#fold.reading(reader.offset, reader.timestampMs, routed.value);
        pending += 1;
        if (pending >= RECORDS_PER_SLICE) {
          this.#write(upTo);
          pending = 0;
        }
      }
      fetchOffset = reader.nextOffset;
    }
    this.#write(upTo);
  }

  #write(upTo: Stage): void {
    const output = this.#fold.takeOutput();
    if (upTo !== 'write') return;
    const mark = { progress: {} as never, journal: {} as never };
    for (const { records } of this.#writer.finish(output, mark)) this.writtenBytes += records.length;
    this.#writer.begin(0);
  }
}

const STAGES: readonly Stage[] = ['batches', 'decode', 'fold', 'write'];
const backlog = backlogOfOnePartition(Number(flags.records), Number(flags.devices));
const decoder = await openDecoder();
const micros = new Map<Stage, number[]>(STAGES.map((stage) => [stage, []]));
let writtenBytes = 0;
for (let round = 0; round <= Number(flags.rounds); round += 1) {
  for (const stage of STAGES) {
    const pipeline = new Pipeline(decoder);
    const before = process.cpuUsage();
    pipeline.run(backlog.batches, stage);
    const { user, system } = process.cpuUsage(before);
    // The first round warms up.
    if (round > 0) micros.get(stage)!.push((user + system) / backlog.records);
    if (stage === 'write') ({ writtenBytes } = pipeline);
  }
}
// The least of the rounds: whatever else runs on the machine only adds to it.
let previous = 0;
for (const stage of STAGES) {
  const upToHere = Math.min(...micros.get(stage)!);
  process.stdout.write(`${stage.padEnd(8)} ${(upToHere - previous).toFixed(3)} us, in all ${upToHere.toFixed(3)} us\n`);
  previous = upToHere;
}
process.stdout.write(
  `${backlog.records} records of ${flags.devices} devices; ${(writtenBytes / backlog.records).toFixed(0)} bytes written per record\n`,
);
