import { expect, test } from 'vitest';
import { nextPhase, type PartitionPhase } from '../../../src/aggregator/partition-phase.ts';

test('a partition goes through its life as drawn', () => {
  const life: PartitionPhase[] = [
    'FENCING',
    'RESTORING',
    'RUNNING',
    'COMMITTING',
    'RUNNING',
    'DEAD',
    'FENCING',
    'RESTORING',
    'COMMITTING',
    'RUNNING',
    'DRAINING',
    'IDLE',
  ];
  expect(life.reduce<PartitionPhase>(nextPhase, 'IDLE')).toBe('IDLE');
});

test.each([
  ['IDLE', 'RUNNING'],
  ['FENCING', 'RUNNING'],
  ['DEAD', 'RUNNING'],
  ['DRAINING', 'COMMITTING'],
  ['COMMITTING', 'FENCING'],
] as const)('%s to %s is refused', (from, to) => {
  expect(() => nextPhase(from, to)).toThrow(`cannot go from ${from} to ${to}`);
});
