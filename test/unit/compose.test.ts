import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { COMMANDS } from '../../src/cli/commands-table.ts';
import { parseDuration } from '../../src/config/duration.ts';
import { ALL_SETTINGS } from '../../src/config/settings-table.ts';

// No container engine is at hand, so the files for one are checked against each other and against the code.

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  /** Null: a variable whose default is empty. */
  readonly environment?: Readonly<Record<string, string | number | null>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: object;
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const composeText = read('docker-compose.yml');

/** Variables of .env.example with their values. */
const variables = new Map(
  read('.env.example')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
);

/** As compose reads it when no variable is set; `$$` is a dollar. */
const interpolated = composeText.replace(/\$\{(\w+):-([^}]*)\}/g, '$2').replaceAll('$$', '$');
const compose = parse(interpolated, { merge: true }) as { services: Record<string, Service>; volumes: Record<string, null> };
const services = Object.entries(compose.services);
const ingotServices = services.filter(([, { build }]) => build !== undefined);

const INSIDE_PORTS: Readonly<Record<string, number>> = { broker: 29092, 'schema-registry': 8081, mosquitto: 1883, postgres: 5432 };

describe('variables', () => {
  const used = [...composeText.matchAll(/\$\{(\w+)([^}]*)\}/g)].map(([, name, rest]) => ({ name: name!, rest: rest! }));

  test('all have a default, the one that .env.example shows', () => {
    expect(used.filter(({ name, rest }) => rest !== `:-${variables.get(name)}`)).toEqual([]);
  });

  test('of .env.example are all used', () => {
    expect([...variables.keys()].filter((name) => !used.some((each) => each.name === name))).toEqual([]);
  });

  test('give every published port its own default, on this machine only', () => {
    const published = [...composeText.matchAll(/^\s+- '(.*):\d+'$/gm)].map(([, before]) => before!);
    expect(published).toHaveLength(services.flatMap(([, { ports = [] }]) => ports).length);
    for (const each of published) expect(each).toMatch(/^\$\{BIND_ADDRESS:-127\.0\.0\.1\}:\$\{\w+_PORT:-\d+\}$/);
    expect(new Set(published).size).toBe(published.length);
  });
});

describe('services', () => {
  test('wait for services that exist and can become what is waited for', () => {
    const wrong = services.flatMap(([name, { depends_on = {} }]) =>
      Object.entries(depends_on).flatMap(([other, { condition }]) => {
        const target = compose.services[other];
        const isPossible =
          (condition === 'service_healthy' && target?.healthcheck !== undefined) ||
          (condition === 'service_completed_successfully' && target?.restart === 'no');
        return isPossible ? [] : [`${name} waits for ${other}: ${condition}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  test('mount volumes that are declared and files that exist', () => {
    const sources = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0]!));
    const named = sources.filter((source) => !source.startsWith('.'));
    expect(named.toSorted()).toEqual(Object.keys(compose.volumes).toSorted());
    expect(sources.filter((source) => source.startsWith('.') && !existsSync(join(root, source)))).toEqual([]);
  });

  test('reach Kafka from containers and from this machine under different listeners', () => {
    const { environment = {} } = compose.services['broker']!;
    expect(environment['KAFKA_ADVERTISED_LISTENERS']).toBe(`INTERNAL://broker:29092,EXTERNAL://localhost:${variables.get('KAFKA_PORT')}`);
    expect(environment['KAFKA_AUTO_CREATE_TOPICS_ENABLE']).toBe('false');
    expect(Buffer.from(String(environment['CLUSTER_ID']), 'base64url')).toHaveLength(16);
  });

  test('of others that read our topics read committed records only', () => {
    const readers = services.filter(([, { command = [] }]) => command.includes('--topic'));
    expect(readers.map(([name]) => name)).toEqual(['watch-alerts']);
    for (const [, { command }] of readers) expect(command).toContain('isolation.level=read_committed');
  });
});

describe('Ingot', () => {
  test('is built from files that exist, on the Node of package.json', () => {
    expect(ingotServices.length).toBeGreaterThan(0);
    for (const [, { build }] of ingotServices) expect(existsSync(join(root, build!.context, build!.dockerfile))).toBe(true);
    const dockerfile = read('Dockerfile');
    const copied = [...dockerfile.matchAll(/^COPY (.*) \S+$/gm)].flatMap(([, sources]) => sources!.split(' '));
    expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const ignored = read('.dockerignore').split('\n');
    expect(copied.filter((path) => ignored.includes(path))).toEqual([]);
    const nodeVersion = (JSON.parse(read('package.json')) as { dependencies: { node: string } }).dependencies.node;
    expect(dockerfile).toContain(`FROM node:${nodeVersion.split('.')[0]}-`);
    expect(dockerfile).toMatch(/^USER (?!root)\w+$/m);
  });

  test('is given commands that exist', () => {
    const unknown = ingotServices.filter(([, { command = [] }]) => {
      const line = command.join(' ');
      return !COMMANDS.some(({ name }) => line === name || line.startsWith(`${name} -`));
    });
    expect(unknown.map(([name]) => name)).toEqual([]);
  });

  test('is given settings that exist, with values that they allow', () => {
    const wrong = ingotServices.flatMap(([name, { environment = {} }]) =>
      Object.entries(environment).flatMap(([variable, value]) => {
        const place = ALL_SETTINGS.find(({ setting }) => setting.variable === variable);
        if (place === undefined) return [`${name}: ${variable} is no setting`];
        const isAllowed = value === null || place.setting.parse(String(value)) !== undefined;
        return isAllowed ? [] : [`${name}: ${variable} may not be ${value}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  test('is given defaults that are its own', () => {
    const ours = [...variables].flatMap(([variable, shown]) => {
      const setting = ALL_SETTINGS.find((place) => place.setting.variable === variable)?.setting;
      return setting && shown !== '' ? [[variable, setting.parse(shown), setting.parse(setting.defaultText ?? '')] as const] : [];
    });
    expect(ours.length).toBeGreaterThan(5);
    for (const [variable, shown, own] of ours) expect([variable, shown]).toEqual([variable, own]);
  });

  test('finds the other services under their names and ports', () => {
    const addresses = ingotServices.flatMap(([, { environment = {} }]) =>
      Object.entries(environment)
        .filter(([variable]) => /_(URL|BROKERS)$/.test(variable))
        .map(([, value]) => String(value).replace(/^\w+:\/\//, '')),
    );
    expect(addresses.length).toBeGreaterThan(0);
    for (const address of addresses) {
      const [, host = '', port] = /([\w-]+):(\d+)(?:\/\w*)?$/.exec(address) ?? [];
      expect([host, Number(port)]).toEqual([host, INSIDE_PORTS[host]]);
    }
  });

  test('has time to drain before it is killed', () => {
    const { setting } = ALL_SETTINGS.find((place) => place.setting.variable === 'SHUTDOWN_TIMEOUT')!;
    const shutdownTimeoutMs = setting.parse(setting.defaultText ?? '') as number;
    for (const [, { stop_grace_period: grace = '' }] of ingotServices) expect(parseDuration(grace)).toBeGreaterThan(shutdownTimeoutMs);
  });
});
