import { maskUrlPassword, type ResolvedSetting, requireConfig } from '../../config/load-config.ts';
import { ALL_SETTINGS } from '../../config/settings-table.ts';
import { defineCommand } from '../command.ts';
import { OUTPUT_FLAG, printRows } from '../output.ts';

// `ingot config`: what the settings are, where they came from, and whether they are right.

function shownValue({ setting, text }: ResolvedSetting): string | null {
  if (text === null) return null;
  return setting.isSecret ? '[masked]' : maskUrlPassword(text);
}

export const configPrint = defineCommand({
  description:
    'Values and origins of all settings. A flag wins over the environment, that over the file, that over the stack that `ingot up` runs on this machine, that over the default. Secrets are masked.',
  flags: { ...OUTPUT_FLAG, changed: { kind: 'boolean', help: 'Only what differs from the defaults.' } },
  examples: [
    { line: 'ingot config print', shows: 'every setting' },
    { line: 'KAFKA_BROKERS=kafka:9092 ingot config print --changed', shows: 'what was set, and where' },
  ],
  settings: ALL_SETTINGS.map(({ setting }) => setting.variable),
  run: async (context) => {
    const { settings, problems, warnings } = context.loadedConfig;
    const rows = settings.filter(({ origin }) => !context.flags.changed || (origin !== 'default' && origin !== 'unset'));
    await printRows(context, rows, {
      columns: [
        { title: 'setting', cell: ({ setting }) => setting.variable },
        { title: 'value', cell: shownValue, style: ({ value, text }) => (text !== null && value === null ? 'red' : null) },
        {
          title: 'origin',
          cell: ({ origin }) => origin,
          style: ({ origin }) => (origin === 'default' || origin === 'unset' ? 'dim' : 'cyan'),
        },
      ],
      whenEmpty: 'Every setting has its default.',
    });
    for (const warning of warnings) context.stderr.write(`warning: ${warning}\n`);
    if (problems.length > 0) requireConfig(context.loadedConfig);
    return 0;
  },
});

export const configCheck = defineCommand({
  description:
    'Checks every setting and says everything that is wrong at once. Exit code 0 when all is well, 2 otherwise. It starts nothing and connects to nothing.',
  flags: {},
  examples: [
    { line: 'ingot config check', shows: 'problems and warnings' },
    { line: 'ingot config check --config ingot.yaml', shows: 'the same for a file' },
  ],
  run: async (context) => {
    for (const warning of context.loadedConfig.warnings) context.stderr.write(`warning: ${warning}\n`);
    requireConfig(context.loadedConfig);
    context.stdout.write('The configuration is valid.\n');
    return 0;
  },
});
