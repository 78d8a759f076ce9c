import { beforeEach, describe, expect, it } from 'vitest';
import { AbsentSchemas } from '../../src/registry/absent-schemas.ts';

describe('an id that the registry does not know', () => {
  let nowMs: number;
  let absent: AbsentSchemas;
  /** Asks every second; resolves with how many answers it took until one was believed. */
  const answersUntilFinal = (schemaId: number): number => {
    for (let answers = 1; answers <= 10_000; answers++) {
      if (absent.isFinal(schemaId)) return answers;
      nowMs += 1_000;
    }
    throw new Error('never believed');
  };
  beforeEach(() => {
    nowMs = 1_000_000;
    absent = new AbsentSchemas({ patienceMs: 30_000, now: () => nowMs });
  });

  it('is believed when the registry has said so for the whole patience', () => {
    expect(answersUntilFinal(1)).toBe(31);
  });

  it('is asked for three times at least', () => {
    expect(absent.isFinal(1)).toBe(false);
    nowMs += 40_000;
    expect(absent.isFinal(1)).toBe(false);
    expect(absent.isFinal(1)).toBe(true);
  });

  it('is believed at once without patience', () => {
    expect(new AbsentSchemas({ patienceMs: 0, now: () => 0 }).isFinal(1)).toBe(true);
  });

  it('is not believed sooner because others are asked for: a flood of ids costs the patience once', () => {
    expect(answersUntilFinal(1)).toBe(31);
    for (let schemaId = 2; schemaId < 100; schemaId++) {
      nowMs += 100;
      expect(absent.isFinal(schemaId)).toBe(true);
    }
    nowMs += 2_001;
    expect(absent.isFinal(1_000)).toBe(false);
  });

  it('counts anew after the registry was away', () => {
    for (let second = 0; second < 25; second++) {
      expect(absent.isFinal(1)).toBe(false);
      nowMs += 1_000;
    }
    absent.registryFailed();
    expect(answersUntilFinal(1)).toBe(31);
    absent.registryFailed();
    expect(absent.isFinal(2)).toBe(false);
  });

  it('counts anew when it was not asked for a long time', () => {
    absent.isFinal(1);
    absent.isFinal(1);
    nowMs += 60_001;
    expect(answersUntilFinal(1)).toBe(31);
  });

  it('is believed in the end although the registry fails again and again', () => {
    let answers = 0;
    for (; !absent.isFinal(1); answers++) {
      absent.registryFailed();
      nowMs += 1_000;
    }
    expect(answers).toBe(300);
  });
});
