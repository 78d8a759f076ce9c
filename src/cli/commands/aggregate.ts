import { defineCommand } from '../command.ts';
import { startAggregatorRole } from '../roles/aggregator-role.ts';
import { runRole } from '../run-role.ts';

export const aggregate = defineCommand({
  description:
    'Reads the readings topic as a member of the consumer group, closes windows and batches per device, raises and resolves alerts, and writes aggregates and alerts, each exactly once. Start more of them to share the partitions.',
  flags: {
    'accept-loss': {
      kind: 'boolean',
      help: 'When readings were deleted by retention before they were folded: go on after the gap, and note it in the journal.',
    },
  },
  settings: [
    'KAFKA_BROKERS',
    'KAFKA_GROUP_ID',
    'KAFKA_TOPIC_PREFIX',
    'SCHEMA_REGISTRY_URL',
    'WINDOW_SIZE',
    'WINDOW_GRACE',
    'WINDOW_IDLE',
    'BATCH_SIZE',
    'EVENT_TIME_SKEW',
    'EVENT_TIME_PAST_LIMIT',
    'RULES_FILE',
    'ALERT_THRESHOLD_CELSIUS',
    'ALERT_DEADBAND_CELSIUS',
    'SETTINGS_VERSION',
  ],
  // Each role has a port of its own, so that all of them can run on one machine.
  configDefaults: { HTTP_PORT: '7072' },
  examples: [
    { line: 'ingot aggregate --window 5m --grace 30s', shows: 'windows of five minutes' },
    { line: 'ingot aggregate --rules rules.yaml', shows: 'own alert rules' },
  ],
  drains: true,
  run: (context) =>
    runRole(context, {
      role: 'aggregator',
      start: (surroundings) => startAggregatorRole(surroundings, { acceptLoss: context.flags['accept-loss'] }),
    }),
});
