import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SentReading } from '../../../simulators/reading.ts';
import { readTruthFile, TruthWriter } from '../../../simulators/truth-file.ts';

let folder = '';
let path = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-truth-'));
  path = join(folder, 'truth.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

const header = { startedAt: 1, settings: { seed: 1, scenario: 'mix' } };

function reading(seq: number): SentReading {
  return { device: 'd1', ts: 1000 + seq, seq, metrics: { temperature: 20.25 + seq } };
}

describe('the truth file', () => {
  test('gives back what was written', async () => {
    const writer = new TruthWriter(path, header);
    writer.sending([reading(0), reading(1)], 5);
    writer.acked('d1', 0);
    writer.sending([reading(2)], 6);
    writer.acked('d1', 2);
    writer.close({ endedAt: 9, endedBy: 'complete', sent: 3, acked: 2 });
    expect(await readTruthFile(path)).toEqual([
      {
        header,
        readings: [
          { ...reading(0), sentAt: 5, acked: true },
          { ...reading(1), sentAt: 5, acked: false },
          { ...reading(2), sentAt: 6, acked: true },
        ],
        footer: { endedAt: 9, endedBy: 'complete', sent: 3, acked: 2 },
      },
    ]);
  });

  test('has a reading before `sending` returns, so before it is on the wire', () => {
    const writer = new TruthWriter(path, header);
    writer.sending([reading(0)], 5);
    expect(readFileSync(path, 'utf8')).toContain('"seq":0');
  });

  test('after a crash in the middle of a line the rest is read, and the next run goes on behind it', async () => {
    const crashed = new TruthWriter(path, header);
    crashed.sending([reading(0)], 5);
    appendFileSync(path, '{"kind":"reading","device":"d1","ts":10');
    const [run] = await readTruthFile(path);
    expect(run).toMatchObject({ readings: [{ seq: 0, acked: false }], footer: null });

    const next = new TruthWriter(path, header);
    next.sending([reading(0)], 7);
    next.acked('d1', 0);
    next.close({ endedAt: 9, endedBy: 'complete', sent: 1, acked: 1 });
    const runs = await readTruthFile(path);
    expect(runs.map((entry) => entry.readings.map(({ seq, acked }) => [seq, acked]))).toEqual([[[0, false]], [[0, true]]]);
  });

  test.each([
    ['a damaged line in the middle', '{"kind":"reading"\n{"kind":"acked","readings":[]}\n', 'line 2: not a line of a truth file'],
    ['an unknown kind', '{"kind":"other"}\n{"kind":"acked","readings":[]}\n', 'line 2'],
    ['an acknowledgement of nothing', '{"kind":"acked","readings":[["d1",7]]}\n', 'reading 7 of d1 is acknowledged but was not sent'],
    ['another version', '{"kind":"header","version":2,"startedAt":1,"settings":{}}\n', 'version 2'],
  ])('%s is an error that names the line', async (_name, lines, message) => {
    writeFileSync(path, `{"kind":"header","version":1,"startedAt":1,"settings":{}}\n${lines}`);
    await expect(readTruthFile(path)).rejects.toThrow(message);
  });

  test('a file that is none is refused', async () => {
    writeFileSync(path, '');
    await expect(readTruthFile(path)).rejects.toThrow('not a truth file');
  });
});
