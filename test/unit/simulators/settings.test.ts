import { describe, expect, test } from 'vitest';
import { parseRunSettings, UsageError } from '../../../simulators/settings.ts';
import { parseVerifySettings } from '../../../simulators/verify.ts';

describe('flags of the simulator', () => {
  test('have defaults: every device twice a second, until it is stopped', () => {
    expect(parseRunSettings([], { MQTT_URL: 'mqtt://broker:1' })).toMatchObject({
      url: 'mqtt://broker:1',
      devices: 10,
      ratePerSecond: 20,
      seed: 1,
      durationMs: Number.POSITIVE_INFINITY,
      scenario: 'mix',
      truthPath: null,
      replay: null,
    });
  });

  test('are read', () => {
    const argv = '--devices 3 --rate 0.5 --seed 9 --duration 1.5m --scenario flapping --truth t.jsonl'.split(' ');
    expect(parseRunSettings(argv, {})).toMatchObject({
      devices: 3,
      ratePerSecond: 0.5,
      seed: 9,
      durationMs: 90_000,
      scenario: 'flapping',
      truthPath: 't.jsonl',
    });
  });

  test('of a replay', () => {
    const argv = '--replay a.csv --metric machine_temperature --device m-1 --speed 3600'.split(' ');
    expect(parseRunSettings(argv, {}).replay).toEqual({ path: 'a.csv', metric: 'machine_temperature', device: 'm-1', speed: 3600 });
    expect(parseRunSettings(['--replay', 'a.csv'], {}).replay?.speed).toBe('max');
  });

  test.each([
    ['--devices 0', '--devices'],
    ['--devices 2.5', 'whole number'],
    ['--devices ten', "'ten'"],
    ['--rate 0', '--rate'],
    ['--duration 30', '--duration'],
    ['--scenario storm', 'steady, heatwave, flapping, late-burst, mix'],
    ['--prefix a/b', '--prefix'],
    ['--colour red', '--colour'],
    ['--speed 2', '--replay'],
    ['--replay a.csv --rate 5', '--rate'],
    ['--replay a.csv --speed fast', '--speed'],
    ['--replay a.csv --metric 1;2', '--metric'],
  ])('%s is refused, by name', (line, message) => {
    expect(() => parseRunSettings(line.split(' '), {})).toThrow(message);
    expect(() => parseRunSettings(line.split(' '), {})).toThrow(UsageError);
  });
});

describe('flags of verify', () => {
  test('rules have defaults', () => {
    const rules = JSON.stringify([{ id: 'hot', metric: 'temperature', above: 100 }]);
    expect(parseVerifySettings(['--truth', 't', '--window-size', '10s', '--rules', rules])).toMatchObject({
      truthPath: 't',
      windowSizeMs: 10_000,
      rules: [{ id: 'hot', metric: 'temperature', above: 100, deadband: 0, forMs: 0, offDelayMs: 0 }],
    });
  });

  test('the window size may be left to the rows', () => {
    expect(parseVerifySettings(['--truth', 't']).windowSizeMs).toBeNull();
  });

  test.each([
    [[], '--truth'],
    [['--truth', 't', '--rules', '[{"id":"x"}]'], 'either above or below'],
    [['--truth', 't', '--rules', 'x'], 'not JSON'],
    [['--truth', 't', '--show', 'x'], '--show'],
  ])('%j is refused', (argv, message) => {
    expect(() => parseVerifySettings(argv)).toThrow(message);
  });
});
