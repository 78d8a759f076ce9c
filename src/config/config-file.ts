import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { whyNoYaml, whyUnreadable } from './file-failure.ts';
import { nearestName } from './nearest-name.ts';
import { ALL_SETTINGS } from './settings-table.ts';

// The configuration file is YAML. Nested keys are joined with `_`: `kafka: { brokers: ... }` is KAFKA_BROKERS, and so is
// `KAFKA_BROKERS: ...` at the top.

export interface ConfigFile {
  readonly path: string;
  /** Text by variable, as if it had come from the environment. */
  readonly values: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
}

const MAX_FILE_BYTES = 1024 ** 2;

/** Reads the file. Whatever is wrong with it is in `problems`; nothing is thrown. */
export function readConfigFile(path: string): ConfigFile {
  const values = new Map<string, string>();
  const problems: string[] = [];
  try {
    const text = readFileSync(path);
    if (text.length > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`);
    const root: unknown = parse(text.toString('utf8'), { maxAliasCount: 0 });
    if (root !== null && !isMapping(root)) problems.push(`${path}: given a ${typeName(root)}; allowed is a mapping of settings.`);
    else collect(root ?? {}, '', values, problems);
  } catch (error) {
    problems.push(`${path}: ${whyRefused(error)}`);
  }
  return { path, values, problems: problems.concat(unknownKeys(path, values)) };
}

function whyRefused(error: unknown): string {
  const whyNot = whyNoYaml(error);
  return whyNot === null
    ? `the configuration file is not used: ${whyUnreadable(error)}.`
    : `the configuration file is not valid YAML: ${whyNot}.`;
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const typeName = (value: unknown) => (Array.isArray(value) ? 'list' : typeof value);

function collect(mapping: Record<string, unknown>, prefix: string, values: Map<string, string>, problems: string[]): void {
  for (const [key, value] of Object.entries(mapping)) {
    const name = prefix + key.toUpperCase().replaceAll('-', '_');
    if (isMapping(value)) collect(value, `${name}_`, values, problems);
    else if (value === null) continue;
    else if (values.has(name)) problems.push(`${name} is given twice in the configuration file. Keep one.`);
    else values.set(name, Array.isArray(value) ? value.join(',') : String(value));
  }
}

function unknownKeys(path: string, values: ReadonlyMap<string, string>): string[] {
  const known = new Set(
    ALL_SETTINGS.flatMap(({ setting }) => (setting.isSecret ? [setting.variable, `${setting.variable}_FILE`] : [setting.variable])),
  );
  return [...values.keys()]
    .filter((name) => !known.has(name))
    .map((name) => {
      const nearest = nearestName(name, known);
      return `${name} in ${path} is not a setting.${nearest ? ` Did you mean ${nearest}?` : " 'ingot config print' lists them all."}`;
    });
}
