import { expect, test } from 'vitest';
import type { CommandEntry } from '../../../src/cli/commands-table.ts';
import { findCommand } from '../../../src/cli/find-command.ts';

const entry = (name: string): CommandEntry => ({
  name,
  summary: '',
  section: 'Run',
  load: () => Promise.reject(new Error('not loaded here')),
});
const commands = ['up', 'alerts tail', 'dlq list', 'dlq show', 'version'].map(entry);
const find = (line: string) => {
  const found = findCommand(line.split(' ').filter(Boolean), commands);
  return found.kind === 'command' ? `${found.entry.name} <- ${found.rest.join(' ')}` : found.entries.map(({ name }) => name).join(', ');
};

test.each([
  ['up --simulate 5', 'up <- --simulate 5'],
  ['alerts tail -o json', 'alerts tail <- -o json'],
  ['dlq', 'dlq list, dlq show'],
  ['dlq --help', 'dlq list, dlq show'],
  ['help dlq show', 'dlq show <- --help'],
  ['--version', 'version <- '],
  ['', 'up, alerts tail, dlq list, dlq show, version'],
  ['help', 'up, alerts tail, dlq list, dlq show, version'],
  ['--help', 'up, alerts tail, dlq list, dlq show, version'],
])('ingot %s', (line, expected) => expect(find(line)).toBe(expected));

test.each([
  ['alert tail', "Did you mean 'ingot alerts tail'?"],
  ['dlq lst', "Did you mean 'ingot dlq list'?"],
  ['dlq frobnicate', 'There are: dlq list, dlq show.'],
  ['versoin', "Did you mean 'ingot version'?"],
  ['frobnicate', "'ingot --help' lists them all"],
])('ingot %s is refused', (line, message) => {
  expect(() => find(line)).toThrow(message);
  expect(() => find(line)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
