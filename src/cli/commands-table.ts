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
    name: 'up',
    summary: 'Run the whole pipeline on this machine, with simulated devices if wanted',
    section: 'Run',
    load: async () => (await import('./commands/up.ts')).up,
  },
  {
    name: 'simulate',
    summary: 'Publish over MQTT what a fleet of devices would',
    section: 'Run',
    load: async () => (await import('./commands/simulate.ts')).simulate,
  },
  {
    name: 'bridge',
    summary: 'Take messages from MQTT and write them to Kafka as Avro',
    section: 'Run',
    load: async () => (await import('./commands/bridge.ts')).bridge,
  },
  {
    name: 'aggregate',
    summary: 'Close windows, raise and resolve alerts, each exactly once',
    section: 'Run',
    load: async () => (await import('./commands/aggregate.ts')).aggregate,
  },
  {
    name: 'sink',
    summary: 'Write aggregates and alerts into SQL',
    section: 'Run',
    load: async () => (await import('./commands/sink.ts')).sink,
  },
  {
    name: 'notices',
    summary: 'Publish alerts to MQTT, retained while they fire',
    section: 'Run',
    load: async () => (await import('./commands/notices.ts')).notices,
  },
  {
    name: 'dashboard',
    summary: 'Serve the page: devices, alerts and their history',
    section: 'Run',
    load: async () => (await import('./commands/dashboard.ts')).dashboard,
  },
  {
    name: 'schemas list',
    summary: 'Show the schemas in the registry, and how the files in schemas/ stand to them',
    section: 'Look',
    load: async () => (await import('./commands/schemas.ts')).schemasList,
  },
  {
    name: 'schemas show',
    summary: 'Print a schema as the registry has it',
    section: 'Look',
    load: async () => (await import('./commands/schemas.ts')).schemasShow,
  },
  {
    name: 'schemas register',
    summary: 'Register the files in schemas/',
    section: 'Operate',
    load: async () => (await import('./commands/schemas.ts')).schemasRegister,
  },
  {
    name: 'schemas check',
    summary: 'Check that the files in schemas/ can follow what the registry holds',
    section: 'Operate',
    load: async () => (await import('./commands/schemas.ts')).schemasCheck,
  },
  {
    name: 'alerts tail',
    summary: 'Subscribe to the alerts',
    section: 'Look',
    load: async () => (await import('./commands/alerts.ts')).alertsTail,
  },
  {
    name: 'readings tail',
    summary: 'Subscribe to the readings',
    section: 'Look',
    load: async () => (await import('./commands/readings.ts')).readingsTail,
  },
  {
    name: 'aggregates tail',
    summary: 'Subscribe to the closed windows',
    section: 'Look',
    load: async () => (await import('./commands/aggregates.ts')).aggregatesTail,
  },
  {
    name: 'dlq list',
    summary: 'List the dead letters',
    section: 'Look',
    load: async () => (await import('./commands/dlq.ts')).dlqList,
  },
  {
    name: 'dlq show',
    summary: 'Show one dead letter with its headers and payload',
    section: 'Look',
    load: async () => (await import('./commands/dlq.ts')).dlqShow,
  },
  {
    name: 'dlq replay',
    summary: 'Send dead letters through the pipeline again, each once',
    section: 'Operate',
    load: async () => (await import('./commands/dlq-replay.ts')).dlqReplay,
  },
  {
    name: 'devices list',
    summary: 'List the devices that have labels or thresholds of their own',
    section: 'Look',
    load: async () => (await import('./commands/devices.ts')).devicesList,
  },
  {
    name: 'devices show',
    summary: 'Show the labels and thresholds of one device',
    section: 'Look',
    load: async () => (await import('./commands/devices.ts')).devicesShow,
  },
  {
    name: 'devices set',
    summary: 'Give a device labels and thresholds of its own, while everything runs',
    section: 'Operate',
    load: async () => (await import('./commands/devices.ts')).devicesSet,
  },
  {
    name: 'devices forget',
    summary: 'Take labels and thresholds of a device away',
    section: 'Operate',
    load: async () => (await import('./commands/devices.ts')).devicesForget,
  },
  {
    name: 'verify',
    summary: 'Compare what came out with what the simulator sent',
    section: 'Look',
    load: async () => (await import('./commands/verify.ts')).verify,
  },
  {
    name: 'topics list',
    summary: 'Show the topics, and whether the broker has them as Ingot needs them',
    section: 'Operate',
    load: async () => (await import('./commands/topics.ts')).topicsList,
  },
  {
    name: 'topics create',
    summary: 'Create the topics that are missing',
    section: 'Operate',
    load: async () => (await import('./commands/topics.ts')).topicsCreate,
  },
  {
    name: 'topics describe',
    summary: 'Compare the settings of the topics with the table',
    section: 'Operate',
    load: async () => (await import('./commands/topics.ts')).topicsDescribe,
  },
  {
    name: 'rebuild-state',
    summary: "Make the aggregator's state anew from readings and journal, after it was lost",
    section: 'Operate',
    load: async () => (await import('./commands/rebuild-state.ts')).rebuildState,
  },
  {
    name: 'lag',
    summary: 'Show how far each role is behind what it reads',
    section: 'Operate',
    load: async () => (await import('./commands/lag.ts')).lag,
  },
  {
    name: 'doctor',
    summary: 'Look at everything that Ingot depends on, and say what is wrong with it',
    section: 'Operate',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
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
