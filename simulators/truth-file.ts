import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { openGivenFile, openGivenFileToAppend } from './given-file.ts';
import type { Metrics, SentReading } from './reading.ts';

// The truth file: what was really sent, as JSON lines. A reading is in the file before it is on the wire, and its
// acknowledgement after the broker's PUBACK, so after a crash the file knows three kinds of readings: acknowledged ones must come out,
// unacknowledged ones may, others must not. A file may hold several runs, one after the other, each begun by a header.
//
//   {"kind":"header","version":1,"startedAt":...,"seed":...,"scenario":...,...}
//   {"kind":"reading","device":"sim-0001","ts":...,"seq":0,"sentAt":...,"metrics":{"temperature":71.2,...}}
//   {"kind":"acked","readings":[["sim-0001",0],...]}
//   {"kind":"footer","endedAt":...,"endedBy":"duration","sent":...,"acked":...}

export const TRUTH_VERSION = 1;

export interface TruthHeader {
  readonly startedAt: number;
  /** How the run was made: seed, scenario, devices, rate, or the file replayed. For people; nothing is computed from it. */
  readonly settings: Readonly<Record<string, string | number | null>>;
}

export interface TruthFooter {
  readonly endedAt: number;
  readonly endedBy: string;
  readonly sent: number;
  readonly acked: number;
}

/** One reading as the file tells it. */
export interface TruthReading extends SentReading {
  /** When it was handed to the MQTT client, epoch ms. */
  readonly sentAt: number;
  acked: boolean;
}

export interface TruthRun {
  readonly header: TruthHeader;
  /** In the order in which they were sent. */
  readonly readings: readonly TruthReading[];
  /** Null when the run did not end in order (a crash). */
  readonly footer: TruthFooter | null;
}

/** Appends to the file. Not for concurrent use by two processes. */
export class TruthWriter {
  readonly #fd: number;
  #acked: [string, number][] = [];

  /** Appends a run to the file, which is made when there is none. Throws UsageError when it cannot be opened. */
  constructor(path: string, header: TruthHeader) {
    this.#fd = openGivenFileToAppend(path, '--truth');
    const size = fstatSync(this.#fd).size;
    // A run that crashed may have left half a line: the reader knows such a line by the header that follows it.
    if (size > 0 && lastByte(this.#fd, size) !== 0x0a) writeSync(this.#fd, '\n');
    this.#write([JSON.stringify({ kind: 'header', version: TRUTH_VERSION, ...header })]);
  }

  /** Returns when the operating system has the lines: only then may the readings be published. */
  sending(readings: readonly SentReading[], sentAt: number): void {
    const lines = this.#takeAcked();
    for (const { device, ts, seq, metrics } of readings) lines.push(JSON.stringify({ kind: 'reading', device, ts, seq, sentAt, metrics }));
    this.#write(lines);
  }

  /** Kept until the next `sending`, `flush` or `close`: an acknowledgement lost in a crash only makes a reading uncertain. */
  acked(device: string, seq: number): void {
    this.#acked.push([device, seq]);
    if (this.#acked.length >= 1000) this.flush();
  }

  flush(): void {
    this.#write(this.#takeAcked());
  }

  close(footer: TruthFooter): void {
    this.flush();
    this.#write([JSON.stringify({ kind: 'footer', ...footer })]);
    closeSync(this.#fd);
  }

  #takeAcked(): string[] {
    if (this.#acked.length === 0) return [];
    const line = JSON.stringify({ kind: 'acked', readings: this.#acked });
    this.#acked = [];
    return [line];
  }

  #write(lines: readonly string[]): void {
    if (lines.length === 0) return;
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    let written = 0;
    while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
  }
}

function lastByte(fd: number, size: number): number | undefined {
  const byte = Buffer.alloc(1);
  return readSync(fd, byte, 0, 1, size - 1) === 1 ? byte[0] : undefined;
}

type TruthLine =
  | ({ kind: 'header'; version: number } & TruthHeader)
  | { kind: 'reading'; device: string; ts: number; seq: number; sentAt: number; metrics: Metrics }
  | { kind: 'acked'; readings: [string, number][] }
  | ({ kind: 'footer' } & TruthFooter);

/** Collects lines into runs. */
class RunCollector {
  readonly runs: { header: TruthHeader; readings: TruthReading[]; footer: TruthFooter | null }[] = [];
  #unacked = new Map<string, TruthReading>();

  add(line: TruthLine): void {
    if (line.kind === 'header') {
      if (line.version !== TRUTH_VERSION) throw new Error(`this truth file has version ${line.version}; known is ${TRUTH_VERSION}`);
      this.runs.push({ header: { startedAt: line.startedAt, settings: line.settings }, readings: [], footer: null });
      this.#unacked = new Map();
      return;
    }
    const run = this.runs.at(-1);
    if (run === undefined) throw new Error('the file does not begin with a header');
    if (line.kind === 'reading') {
      const { device, ts, seq, sentAt, metrics } = line;
      const reading: TruthReading = { device, ts, seq, sentAt, metrics, acked: false };
      run.readings.push(reading);
      this.#unacked.set(`${device} ${seq}`, reading);
    } else if (line.kind === 'acked') {
      for (const [device, seq] of line.readings) this.#ack(device, seq);
    } else {
      const { endedAt, endedBy, sent, acked } = line;
      run.footer = { endedAt, endedBy, sent, acked };
    }
  }

  #ack(device: string, seq: number): void {
    const key = `${device} ${seq}`;
    const reading = this.#unacked.get(key);
    if (reading === undefined) throw new Error(`reading ${seq} of ${device} is acknowledged but was not sent`);
    reading.acked = true;
    this.#unacked.delete(key);
  }
}

/**
 * The runs in a truth file. Half a line at the end of a run (a crash) is passed over; anything else that is no truth line is an error
 * that names its line. Holds the whole file in memory: about 300 bytes a reading.
 */
export async function readTruthFile(path: string): Promise<readonly TruthRun[]> {
  const collector = new RunCollector();
  let damaged: number | null = null;
  let number = 0;
  const file = await openGivenFile(path, '--truth');
  try {
    for await (const text of file.readLines()) {
      number += 1;
      if (text === '') continue;
      const line = parseLine(text);
      if (line !== null && (damaged === null || line.kind === 'header')) {
        damaged = null;
        try {
          collector.add(line);
        } catch (error) {
          throw new Error(`${path}, line ${number}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
        }
      } else if (damaged === null) damaged = number;
      else throw new Error(`${path}, line ${damaged}: not a line of a truth file`);
    }
  } finally {
    await file.close();
  }
  if (collector.runs.length === 0) throw new Error(`${path}: not a truth file (there is no header)`);
  return collector.runs;
}

function parseLine(text: string): TruthLine | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  const kind = typeof parsed === 'object' && parsed !== null && 'kind' in parsed ? parsed.kind : null;
  return kind === 'header' || kind === 'reading' || kind === 'acked' || kind === 'footer' ? (parsed as TruthLine) : null;
}
