import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LoadedConfig, loadConfig, requireConfig } from '../../../src/config/load-config.ts';
import { ALL_SETTINGS } from '../../../src/config/settings-table.ts';
import { IngotError } from '../../../src/errors.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(text: string): string {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, text);
  return path;
}

const originOf = (loaded: LoadedConfig, variable: string) => loaded.settings.find(({ setting }) => setting.variable === variable)?.origin;

describe('defaults', () => {
  test('are the documented ones', () => {
    const config = requireConfig(loadConfig({}));
    expect(config.window).toEqual({
      sizeMs: 60_000,
      graceMs: 10_000,
      idleMs: 30_000,
      batchSize: 0,
      skewMs: 60_000,
      pastLimitMs: 604_800_000,
      settingsVersion: 0,
    });
    expect(config.alerts).toMatchObject({ rulesFile: null, thresholdCelsius: 100, deadbandCelsius: 5 });
    expect(config.kafka).toMatchObject({
      brokers: ['127.0.0.1:9092'],
      acks: 'all',
      topicPrefix: 'telemetry.',
      partitions: 12,
      groupId: null,
    });
    expect(config.http).toEqual({ host: '127.0.0.1', port: 7070, token: null });
  });

  test('each is allowed by its own rule', () => {
    for (const { setting } of ALL_SETTINGS) {
      if (setting.defaultText !== null) expect(setting.parse(setting.defaultText), setting.variable).not.toBeUndefined();
    }
  });

  test('names are unique, and so are flags', () => {
    const variables = ALL_SETTINGS.map(({ setting }) => setting.variable);
    expect(new Set(variables).size).toBe(variables.length);
    const flags = ALL_SETTINGS.flatMap(({ setting }) => setting.flag ?? []);
    expect(new Set(flags).size).toBe(flags.length);
  });
});

describe('precedence', () => {
  test('flag > environment > file > running stack > command > default', () => {
    const sources = {
      flags: new Map([['KAFKA_BROKERS', 'flag:1']]),
      environment: { KAFKA_BROKERS: 'env:1', MQTT_URL: 'mqtt://env' },
      filePath: fileWith('KAFKA_BROKERS: file:1\nMQTT_URL: mqtt://file\nHTTP_PORT: 1\n'),
      runningStack: () => ({ HTTP_PORT: '2', SCHEMA_REGISTRY_URL: 'http://stack' }),
      commandDefaults: { SCHEMA_REGISTRY_URL: 'http://command', WINDOW_SIZE: '10s' },
    };
    const loaded = loadConfig(sources);
    const config = requireConfig(loaded);
    expect(config.kafka.brokers).toEqual(['flag:1']);
    expect(config.mqtt.url).toBe('mqtt://env');
    expect(config.http.port).toBe(1);
    expect(config.registry.url).toBe('http://stack');
    expect(config.window.sizeMs).toBe(10_000);
    expect(
      ['KAFKA_BROKERS', 'MQTT_URL', 'HTTP_PORT', 'SCHEMA_REGISTRY_URL', 'WINDOW_SIZE', 'WINDOW_GRACE'].map((name) =>
        originOf(loaded, name),
      ),
    ).toEqual(['flag', 'environment', 'file', 'running stack', 'command', 'default']);
  });

  test('an empty variable counts as not given', () => {
    expect(originOf(loadConfig({ environment: { KAFKA_SASL_USERNAME: '', LOG_LEVEL: '' } }), 'LOG_LEVEL')).toBe('default');
  });
});

describe('problems', () => {
  test('all are told at once: name, what was given, what is allowed', () => {
    const loaded = loadConfig({
      environment: { KAFKA_BROKERS: 'kafka', WINDOW_SIZE: '60', HTTP_PORT: '70000', KAFKA_ACKS: 'some', LOG_LEVEL: 'loud' },
    });
    expect(loaded.config).toBeNull();
    expect(loaded.problems).toHaveLength(5);
    expect(loaded.problems.join('\n')).toMatch(/KAFKA_BROKERS: given "kafka" \(environment variable KAFKA_BROKERS\); allowed is host:port/);
    expect(loaded.problems.join('\n')).toMatch(/WINDOW_SIZE: given "60" .*allowed is a duration such as/);
    expect(() => requireConfig(loaded)).toThrow(IngotError);
    expect(() => requireConfig(loaded)).toThrow(/5 settings are not valid; nothing was started/);
  });

  test('rules that are not valid are problems, unless they are those of the running stack', () => {
    const path = fileWith('rules: [{ id: hot, metric: temperature }]\n');
    const problem = expect.stringMatching(/^RULES_FILE: .*: rule "hot": /);
    expect(loadConfig({ environment: { RULES_FILE: path } }).problems).toContainEqual(problem);
    expect(loadConfig({ environment: { RULES_FILE: '/no/such/rules.yaml' } }).problems).toEqual([
      'RULES_FILE: /no/such/rules.yaml: it cannot be read: there is no such file; allowed is a readable YAML file.',
    ]);
    expect(loadConfig({ runningStack: () => ({ RULES_FILE: path }) }).problems).toEqual([]);
  });

  test('settings that contradict each other', () => {
    expect(loadConfig({ environment: { KAFKA_SASL_MECHANISM: 'plain' } }).problems).toEqual([
      expect.stringContaining('without KAFKA_SASL_USERNAME'),
    ]);
    expect(loadConfig({ environment: { MQTT_PASSWORD: 'x' } }).problems).toEqual([expect.stringContaining('without MQTT_USERNAME')]);
    expect(loadConfig({ environment: { MAX_PAYLOAD_BYTES: '1MiB', BRIDGE_INFLIGHT_BYTES_MAX: '64KiB' } }).problems).toHaveLength(1);
  });

  test('a secret or a password in a URL is never repeated', () => {
    const { problems } = loadConfig({ environment: { DATABASE_URL: 'mysql://u:hidden@h', MQTT_URL: 'http://u:hidden@h' } });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('hidden');
  });

  test('a slip of the finger in the environment is a warning', () => {
    const loaded = loadConfig({ environment: { KAFKA_BROKER: 'a:1', PATH: '/bin', LOGLEVEL: 'debug', HOME: '/' } });
    expect(requireConfig(loaded)).toBeDefined();
    expect(loaded.warnings).toEqual([
      expect.stringContaining('Did you mean KAFKA_BROKERS?'),
      expect.stringContaining('Did you mean LOG_LEVEL?'),
    ]);
  });
});

describe('values', () => {
  test.each([
    ['EVENT_TIME_PAST_LIMIT', 'unlimited', Number.POSITIVE_INFINITY],
    ['MAX_PAYLOAD_BYTES', '1MiB', 1_048_576],
    ['KAFKA_SSL', 'yes', true],
    ['KAFKA_BROKERS', 'a:1, [::1]:2', ['a:1', '[::1]:2']],
    ['ALERT_THRESHOLD_CELSIUS', '-12.5', -12.5],
    ['KAFKA_SASL_MECHANISM', 'SCRAM-SHA-256', 'scram-sha-256'],
  ])('%s=%s', (variable, text, value) => {
    expect(loadConfig({ environment: { [variable]: text } }).settings.find(({ setting }) => setting.variable === variable)?.value).toEqual(
      value,
    );
  });

  test.each([
    ['WINDOW_SIZE', 'unlimited'],
    ['WINDOW_SIZE', '0s'],
    ['ALERT_THRESHOLD_CELSIUS', 'NaN'],
    ['ALERT_THRESHOLD_CELSIUS', '1e2'],
    ['HTTP_PORT', '0x10'],
    ['MQTT_CLIENT_ID', 'a\u0000b'],
    ['KAFKA_TOPIC_PREFIX', 'a/b'],
  ])('%s=%j is not allowed', (variable, text) => {
    expect(loadConfig({ environment: { [variable]: text } }).problems).toHaveLength(1);
  });
});

describe('MQTT_TOPICS', () => {
  test('that take no topic of a device are a problem: every message would be a dead letter', () => {
    const { problems } = loadConfig({ environment: { MQTT_TOPICS: 'sensors/+/telemetry,x' } });
    expect(problems).toEqual([
      expect.stringMatching(/^MQTT_TOPICS: "sensors\/\+\/telemetry", "x" takes no topic of a device; .*devices\/\+\/telemetry/),
    ]);
  });

  test('that are no filters are a problem', () => {
    const { problems } = loadConfig({ environment: { MQTT_TOPICS: 'devices/+/telemetry,devices/+x' } });
    expect(problems).toEqual([expect.stringMatching(/^MQTT_TOPICS: "devices\/\+x" is no MQTT topic filter/)]);
  });

  test.each(['kafka:9092', 'a:1,b:65535', '[::1]:9092, 10.0.0.1:19092'])('KAFKA_BROKERS may be %s', (text) => {
    expect(loadConfig({ environment: { KAFKA_BROKERS: text } }).config?.kafka.brokers).toEqual(text.split(/, ?/));
  });

  test.each(['kafka', 'kafka:0', 'kafka:65536', 'kafka:99999', '::1:9092', 'kafka:9092,'])('KAFKA_BROKERS may not be %s', (text) => {
    expect(loadConfig({ environment: { KAFKA_BROKERS: text } }).problems.join()).toContain('allowed is host:port');
  });

  test('an endpoint for traces, which a whole cluster may have set, is no error; it is said that nothing goes there', () => {
    const { config, warnings } = loadConfig({ environment: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' } });
    expect(config).not.toBeNull();
    expect(warnings).toEqual(['OTEL_EXPORTER_OTLP_ENDPOINT is given, and this version sends no traces of its own.']);
  });

  test('that take others too are a warning', () => {
    const { config, warnings } = loadConfig({ environment: { MQTT_TOPICS: 'devices/#,devices/+/telemetry,x' } });
    expect(config?.mqtt.topics).toHaveLength(3);
    expect(warnings).toEqual([
      expect.stringMatching(/^MQTT_TOPICS: "devices\/#" takes other topics than .* too; .* dead letters/),
      expect.stringMatching(/^MQTT_TOPICS: "x" takes only other topics than .* dead letters/),
    ]);
  });
});

describe('secrets from files', () => {
  test('the last line end is not part of it', () => {
    const environment = { MQTT_USERNAME: 'u', MQTT_PASSWORD_FILE: fileWith('s3cret\n') };
    expect(requireConfig(loadConfig({ environment })).mqtt.password).toBe('s3cret');
  });
  test('both forms at once, and a missing file, are problems', () => {
    const path = fileWith('x');
    expect(loadConfig({ environment: { MQTT_USERNAME: 'u', MQTT_PASSWORD: 'x', MQTT_PASSWORD_FILE: path } }).problems).toEqual([
      expect.stringContaining('both given'),
    ]);
    expect(loadConfig({ environment: { HTTP_TOKEN_FILE: '/nowhere' } }).problems).toEqual([
      expect.stringContaining('there is no such file'),
    ]);
  });
});

describe('the file', () => {
  test('nested keys are joined', () => {
    const filePath = fileWith('kafka:\n  brokers: [a:1, b:2]\nmqtt: { username: u }\nmqtt_password: p\nlog-level: warn\n');
    const config = requireConfig(loadConfig({ filePath }));
    expect(config.kafka.brokers).toEqual(['a:1', 'b:2']);
    expect(config.mqtt.password).toBe('p');
    expect(config.log.level).toBe('warn');
  });
  test.each([
    ['kafka: {broker: a:1}', /KAFKA_BROKER in .* is not a setting. Did you mean KAFKA_BROKERS\?/],
    ['kafka: {brokers: a:1}\nKAFKA_BROKERS: b:1', /given twice/],
    ['- a', /mapping/],
    ['a: [', /not valid YAML: .* at line 1, column \d+\.$/],
  ])('%j is a problem', (text, message) => {
    expect(loadConfig({ filePath: fileWith(text) }).problems).toEqual([expect.stringMatching(message)]);
  });
  test('one that is not there is a problem; an empty one is none', () => {
    expect(loadConfig({ filePath: join(folder, 'missing.yaml') }).problems).toEqual([
      expect.stringMatching(/not used: it cannot be read: there is no such file\.$/),
    ]);
    expect(loadConfig({ filePath: fileWith('') }).problems).toEqual([]);
  });
});
