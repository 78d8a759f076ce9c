import { createEncoder, createReader, parseAvroType } from '../../src/registry/avro-codec.ts';
import { compileAvroGuard } from '../../src/registry/avro-guard.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';

// A wide reading to Avro and back: our compiled codec against the Avro library, and against the library behind the guard that foreign
// schemas need. CPU time of this process, the three by turns in one run; compare the ratios.
// node bench/codec/run.ts

const VALUES = 1_000;
const REPEATS = 200;
const ROUNDS = 5;

const type = parseAvroType(READING_SCHEMA.text);
const encoder = createEncoder<object>({ schemaId: 1, type });
const reader = createReader<object>({ writerText: READING_SCHEMA.text, readerType: type });
const guard = compileAvroGuard(JSON.parse(READING_SCHEMA.text));
const libraryBuffer = Buffer.alloc(4_096);

const readings = Array.from({ length: VALUES }, (_, index) => ({
  deviceId: `device-${index}`,
  eventTime: 1_700_000_000_000 + index,
  receivedAt: 1_700_000_000_020 + index,
  eventTimeSource: 'DEVICE',
  identity: 4_503_599_627_370_000 + index,
  sequence: index,
  messageId: null,
  aggregatable: true,
  status: null,
  temperature: 20 + index / 10,
  humidity: 40.5,
  pressure: null,
  battery: 99,
  voltage: null,
  current: null,
  power: null,
  co2: null,
  illuminance: null,
  metrics: {},
  attributes: {},
}));
const encoded = readings.map((reading) => type.toBuffer(reading));

const contenders: readonly { readonly name: string; run(index: number): void }[] = [
  { name: 'encode, ours', run: (index) => void encoder.encode(readings[index]!) },
  { name: 'encode, library', run: (index) => void type.encode(readings[index]!, libraryBuffer, 5) },
  { name: 'decode, ours', run: (index) => void reader.read(encoded[index]!, 0, encoded[index]!.length) },
  { name: 'decode, library', run: (index) => void type.decode(encoded[index]!, 0) },
  {
    name: 'decode, guard and library',
    run: (index) => {
      if (guard(encoded[index]!, 0, encoded[index]!.length) !== null) throw new Error('the guard refused a reading');
      type.decode(encoded[index]!, 0);
    },
  },
];

const microsOf = (run: (index: number) => void): number => {
  const before = process.cpuUsage();
  for (let repeat = 0; repeat < REPEATS; repeat++) for (let index = 0; index < VALUES; index++) run(index);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (REPEATS * VALUES);
};

const best = contenders.map(() => Number.POSITIVE_INFINITY);
for (let round = 0; round < ROUNDS; round++) {
  for (const [index, { run }] of contenders.entries()) best[index] = Math.min(best[index]!, microsOf(run));
}
for (const [index, { name }] of contenders.entries()) process.stdout.write(`${name.padEnd(28)} ${best[index]!.toFixed(2)} us\n`);
