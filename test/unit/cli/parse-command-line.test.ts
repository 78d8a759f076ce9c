import { describe, expect, test } from 'vitest';
import { defineCommand } from '../../../src/cli/command.ts';
import { parseCommandLine } from '../../../src/cli/parse-command-line.ts';
import { IngotError } from '../../../src/errors.ts';

const command = defineCommand({
  flags: {
    since: { kind: 'duration', default: '10m', help: '' },
    limit: { kind: 'number', integer: true, min: 1, help: '' },
    output: { kind: 'choice', short: 'o', choices: ['table', 'jsonl'], help: '' },
    device: { kind: 'string', many: true, help: '' },
    verify: { kind: 'boolean', help: '' },
    dashboard: { kind: 'boolean', default: true, help: '' },
    name: { kind: 'string', help: '' },
  },
  args: [
    { name: 'ID', help: 'the device' },
    { name: 'REST', help: 'more', optional: true, many: true },
  ],
  examples: [],
  run: async () => 0,
});
const parse = (...words: string[]) => parseCommandLine(command, words, 'test');

describe('flags', () => {
  test('defaults', () => {
    expect(parse('d1').flags).toEqual({
      since: 600_000,
      limit: undefined,
      output: undefined,
      device: [],
      verify: false,
      dashboard: true,
      name: undefined,
    });
  });
  test('every way to give a value', () => {
    expect(
      parse('d1', '--since=5s', '--limit', '3', '-ojsonl', '--device', 'a', '--device=b', '--verify', '--no-dashboard').flags,
    ).toMatchObject({
      since: 5000,
      limit: 3,
      output: 'jsonl',
      device: ['a', 'b'],
      verify: true,
      dashboard: false,
    });
    expect(parse('d1', '-o', 'table').flags['output']).toBe('table');
    expect(parse('d1', '--name', '-5').flags['name']).toBe('-5');
    expect(parse('d1', '--name=').flags['name']).toBe('');
    expect(parse('d1', '--verify=false').flags['verify']).toBe(false);
  });
  test.each([
    [['d1', '--limit', '0'], '--limit: given "0"; allowed is a whole number from 1'],
    [['d1', '--limit', '1.5'], 'whole number'],
    [['d1', '--since', '5'], 'allowed is a duration'],
    [['d1', '--output', 'xml'], 'allowed is table, jsonl'],
    [['d1', '--name'], '--name needs a value'],
    [['d1', '--verify=maybe'], 'true or false'],
    [['d1', '--sinse', '5s'], 'Did you mean --since?'],
    [['d1', '--kafka-broker', 'x'], 'Did you mean --kafka-brokers?'],
    [['d1', '-x'], 'There is no flag -x'],
    [['d1', '--mqtt-password', 'x'], 'There is no flag --mqtt-password'],
  ])('%j is refused', (words, message) => {
    expect(() => parse(...words)).toThrow(message);
    expect(() => parse(...words)).toThrow(expect.objectContaining({ code: 'USAGE', exitCode: 2 }));
  });
});

test('settings are flags of every command, by their long and their short name', () => {
  const { settings } = parse('d1', '--kafka-brokers', 'a:1', '--window=10s', '--kafka-ssl', '--no-schema-auto-register');
  expect([...settings]).toEqual([
    ['KAFKA_BROKERS', 'a:1'],
    ['WINDOW_SIZE', '10s'],
    ['KAFKA_SSL', 'true'],
    ['SCHEMA_AUTO_REGISTER', 'false'],
  ]);
});

describe('arguments', () => {
  test('are counted', () => {
    expect(parse('d1', 'x', '--', '--y').args).toEqual(['d1', 'x', '--y']);
    expect(() => parse()).toThrow('ID is missing: the device');
    expect(() => parseCommandLine({ flags: {} }, ['extra'], 'test')).toThrow('"extra" is one word too many');
    expect(() => parseCommandLine({ flags: {} }, ['extra'], 'test')).toThrow(IngotError);
  });
  test('may be missing when help is asked for', () => {
    expect(parse('--help').help).toBe(true);
    expect(parse('-h').help).toBe(true);
  });
});
