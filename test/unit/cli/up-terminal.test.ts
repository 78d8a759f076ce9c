import { expect, test } from 'vitest';
import { alertLine } from '../../../src/cli/up/alert-lines.ts';
import { cutToWidth, LiveTerminal } from '../../../src/cli/up/live-terminal.ts';
import { progressBlock, StartProgress } from '../../../src/cli/up/start-progress.ts';
import { readyLine } from '../../../src/cli/up/up-stack.ts';
import type { Alert } from '../../../src/core/alert-record.ts';

/** A stream that keeps what is written; its size may change. */
function recorder(size: { columns?: number; rows?: number } = {}) {
  const written: string[] = [];
  const stream = { ...size, write: (chunk: string) => written.push(chunk) > 0 };
  return { written, stream: stream as unknown as NodeJS.WritableStream & { columns?: number; rows?: number } };
}

test('the block is drawn again below the lines, each time in one piece', () => {
  const { written, stream } = recorder();
  const screen = new LiveTerminal(stream, true);
  screen.show(['a', 'b']);
  screen.print('line');
  expect(written).toEqual(['a\nb\n', '\x1b[2A\r\x1b[0Jline\na\nb\n']);
});

test('a block that is cleared leaves nothing', () => {
  const { written, stream } = recorder();
  const screen = new LiveTerminal(stream, true);
  screen.clear();
  screen.show(['a']);
  screen.clear();
  screen.print('line');
  expect(written).toEqual(['a\n', '\x1b[1A\r\x1b[0J', 'line\n']);
});

test('elsewhere than on a terminal there are only lines, without escapes', () => {
  const { written, stream } = recorder();
  const screen = new LiveTerminal(stream, false);
  screen.show(['a']);
  screen.print('line');
  screen.clear();
  screen.print('last');
  expect(written).toEqual(['line\n', 'last\n']);
});

test('no line of the block wraps, and no block is higher than the terminal', () => {
  const { written, stream } = recorder({ columns: 10, rows: 3 });
  new LiveTerminal(stream, true).show(['0123456789abc', 'short', 'gone']);
  expect(written).toEqual(['01234567…\nshort\n']);
});

test('a terminal that was made narrower shows the block on more rows, and all of them are erased', () => {
  const { written, stream } = recorder({ columns: 20, rows: 24 });
  const screen = new LiveTerminal(stream, true);
  screen.show(['0123456789abcdefg', 'x']);
  stream.columns = 8;
  screen.show(['y']);
  expect(written[1]).toBe('\x1b[4A\r\x1b[0Jy\n');
});

test('cutting counts what is seen, and leaves no colour open', () => {
  expect(cutToWidth('\x1b[32mgreen\x1b[0m', 5)).toBe('\x1b[32mgreen\x1b[0m');
  expect(cutToWidth('a \x1b[32mgreen\x1b[0m line', 5)).toBe('a \x1b[32mgr…\x1b[0m\x1b[0m');
  expect(cutToWidth('plain', 4)).toBe('pla…');
});

test('what is awaited has a clock on a terminal, and one line at its beginning elsewhere', () => {
  const awaited = new Map([
    ['Kafka', { remark: '', sinceMs: 1_000 }],
    ['schema registry', { remark: 'usually 10 s', sinceMs: 3_500 }],
  ]);
  expect(progressBlock(awaited, 6_200)).toEqual(['', '  waiting for Kafka: 5 s', '  waiting for schema registry (usually 10 s): 2 s']);
  expect(progressBlock(new Map(), 0)).toEqual([]);

  const { written, stream } = recorder();
  const progress = new StartProgress(new LiveTerminal(stream, false), false);
  progress.begin('Kafka');
  progress.begin('schema registry', 'usually 10 s');
  progress.done('Kafka');
  progress.end();
  expect(written).toEqual(['waiting for Kafka\n', 'waiting for schema registry (usually 10 s)\n']);
});

test('a component says when it has not got its usual port', () => {
  expect(readyLine('MQTT broker', 'mqtt://127.0.0.1:1883', true)).toBe('MQTT broker      mqtt://127.0.0.1:1883');
  expect(readyLine('MQTT broker', 'mqtt://127.0.0.1:41883', true)).toBe(
    'MQTT broker      mqtt://127.0.0.1:41883  (the usual port 1883 was taken)',
  );
  expect(readyLine('schema registry', 'http://127.0.0.1:8081/apis/ccompat/v7', true)).not.toContain('taken');
  // A temporary stack asks for none.
  expect(readyLine('Kafka', '127.0.0.1:41883', false)).not.toContain('taken');
});

test('an alert is one line, red when raised and green when resolved; a device cannot bring escapes in', () => {
  const alert = {
    transition: 'RAISED',
    transitionAt: Date.UTC(2026, 0, 1, 12, 30, 5),
    severity: 'CRITICAL',
    deviceId: 'd\x1b[2J',
    ruleId: 'high-temperature',
    summary: 'too hot',
  } as Alert;
  const nowMs = Date.UTC(2026, 0, 1, 23, 59, 59);
  expect(alertLine(alert, { useColor: false, nowMs })).toBe('12:30:05  RAISED   CRITICAL d\\u001b[2J  high-temperature: too hot');
  expect(alertLine(alert, { useColor: true, nowMs })).toContain('\x1b[31mRAISED  \x1b[0m CRITICAL');
  expect(alertLine({ ...alert, transition: 'RESOLVED' }, { useColor: true, nowMs })).toContain('\x1b[32mRESOLVED\x1b[0m');
  // A backlog of yesterday must not look like tonight's alerts.
  expect(alertLine(alert, { useColor: false, nowMs: nowMs + 1_000 })).toMatch(/^2026-01-01 12:30:05 {2}RAISED/);
});
