import type { Command } from './command.ts';

// Every command, in the order of `ingot --help`. Only what is typed is loaded.

export interface CommandEntry {
  /** One or two words: `up`, `alerts tail`. */
  readonly name: string;
  /** One line without a full stop. */
  readonly summary: string;
  readonly section: CommandSection;
  load(): Promise<Command>;
}

export const COMMAND_SECTIONS = ['Run', 'Look', 'Operate'] as const;
export type CommandSection = (typeof COMMAND_SECTIONS)[number];

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'config print',
    summary: 'Show every setting, its value and where it came from',
    section: 'Operate',
    load: async () => (await import('./commands/config.ts')).configPrint,
  },
  {
    name: 'config check',
    summary: 'Check the configuration and say everything that is wrong with it',
    section: 'Operate',
    load: async () => (await import('./commands/config.ts')).configCheck,
  },
  {
    name: 'docs',
    summary: 'Write docs/configuration.md and docs/errors.md from the tables in the code',
    section: 'Operate',
    load: async () => (await import('./commands/docs.ts')).docs,
  },
  {
    name: 'version',
    summary: 'Show the version',
    section: 'Operate',
    load: async () => (await import('./commands/version.ts')).version,
  },
];
