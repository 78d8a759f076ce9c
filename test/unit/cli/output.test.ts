import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { type OutputFormat, printRows, type RowOptions, RowPrinter } from '../../../src/cli/output.ts';

interface Row {
  device: string;
  value: number | null;
}
const options: RowOptions<Row> = {
  columns: [
    { title: 'device', cell: (row) => row.device, width: 6 },
    { title: 'value', cell: (row) => row.value, alignRight: true, style: (row) => (row.value === null ? 'red' : null) },
  ],
};

interface Look {
  output?: OutputFormat;
  isTerminal?: boolean;
  useColor?: boolean;
}
function sink({ output, isTerminal = false, useColor = false }: Look) {
  const stdout = new PassThrough();
  return { stdout, isTerminal, useColor, flags: { output }, text: () => (stdout.read() as Buffer | null)?.toString() ?? '' };
}
async function printed(rows: Row[], look: Look, more: Partial<RowOptions<Row>> = {}): Promise<string> {
  const to = sink(look);
  await printRows(to, rows, { ...options, ...more });
  return to.text();
}

const rows: Row[] = [
  { device: 'd1', value: 1.5 },
  { device: 'a-long-id', value: null },
];

describe('forms', () => {
  test('jsonl when piped, table on a terminal', async () => {
    expect(await printed(rows, {})).toBe('{"device":"d1","value":1.5}\n{"device":"a-long-id","value":null}\n');
    expect(await printed(rows, { isTerminal: true })).toBe('device     value\nd1           1.5\na-long-id       \n');
  });
  test('json is one array', async () => {
    expect(JSON.parse(await printed(rows, { output: 'json' }))).toEqual(rows);
    expect(await printed([], { output: 'json' })).toBe('[]\n');
  });
  test('csv quotes what needs it', async () => {
    expect(await printed([{ device: 'a,"b"', value: 1 }], { output: 'csv' })).toBe('device,value\r\n"a,""b""",1\r\n');
    expect(await printed([], { output: 'csv' })).toBe('device,value\r\n');
  });
  test('a table that grows is printed row by row', async () => {
    const to = sink({ output: 'table' });
    const printer = new RowPrinter(to, { ...options, isStream: true });
    await printer.print(rows[0]!);
    expect(to.text()).toBe('device  value\nd1        1.5\n');
    await printer.print(rows[1]!);
    expect(to.text()).toBe('a-long-id       \n');
    await printer.end();
    expect(printer.count).toBe(2);
  });
  test('an empty table says so', async () => {
    expect(await printed([], { output: 'table' }, { whenEmpty: 'Nothing.' })).toBe('Nothing.\n');
  });
  test('toJson replaces the columns', async () => {
    expect(await printed([rows[0]!], {}, { toJson: (row) => ({ id: row.device }) })).toBe('{"id":"d1"}\n');
  });
});

describe('what a device sends cannot command the terminal', () => {
  const evil: Row = { device: '\u001b]0;title\u0007\u009b2J\u202eabc\r\n', value: 1 };
  test.each(['table', 'json', 'jsonl', 'csv'] as const)('%s', async (output) => {
    const text = await printed([evil], { output, isTerminal: true });
    expect(text.replaceAll(/\r?\n/g, '')).not.toMatch(/[\p{Cc}\u202e]/u);
  });
  test('a program gets the true value', async () => {
    expect(JSON.parse(await printed([evil], {}))).toEqual(evil);
    expect(await printed([evil], { output: 'csv' })).toContain(evil.device);
  });
});

test('colours only when wanted', async () => {
  expect(await printed(rows, { isTerminal: true, useColor: true })).toContain('\u001b[1m');
  expect(await printed(rows, { isTerminal: true, useColor: false })).not.toContain('\u001b');
});

test('a slow reader slows the printer down', async () => {
  const stdout = new PassThrough({ highWaterMark: 1 });
  const printer = new RowPrinter({ stdout, isTerminal: false, useColor: false, flags: {} }, options);
  let isPrinted = false;
  const printing = printer.print(rows[0]!).then(() => {
    isPrinted = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isPrinted).toBe(false);
  stdout.read();
  await printing;
  expect(isPrinted).toBe(true);
});
