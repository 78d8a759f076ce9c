import { defineCommand } from '../command.ts';
import { startSinkRole } from '../roles/sink-role.ts';
import { runRole } from '../run-role.ts';

export const sink = defineCommand({
  description:
    'Reads aggregates and alerts and writes them into SQL: PostgreSQL by DATABASE_URL, the embedded database in the data folder without it. The tables are made at the start. Positions are kept in the database together with the rows, so a restart goes on exactly where it stopped. Start more of them to share the partitions (PostgreSQL only).',
  flags: {
    'accept-loss': {
      kind: 'boolean',
      help: 'When records were deleted by retention before they were written, or the topic was made anew: go on with what there is.',
    },
  },
  settings: ['KAFKA_BROKERS', 'KAFKA_GROUP_ID', 'KAFKA_TOPIC_PREFIX', 'SCHEMA_REGISTRY_URL', 'DATABASE_URL', 'DATA_FOLDER'],
  // Each role has a port of its own, so that all of them can run on one machine.
  configDefaults: { HTTP_PORT: '7073' },
  examples: [
    { line: 'ingot sink', shows: 'rows in the embedded database' },
    {
      line: 'DATABASE_URL=postgres://ingot@db/telemetry ingot sink --http-port 7073',
      shows: 'rows in PostgreSQL, another port for metrics',
    },
  ],
  drains: true,
  run: (context) =>
    runRole(context, {
      role: 'sink',
      start: (surroundings) => startSinkRole(surroundings, { acceptLoss: context.flags['accept-loss'] }),
    }),
});
