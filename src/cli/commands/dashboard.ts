import { defineCommand } from '../command.ts';
import { startDashboardRole } from '../roles/dashboard-role.ts';
import { runRole } from '../run-role.ts';

export const dashboard = defineCommand({
  description:
    'Serves the page: devices, alerts and their history, as the topics tell them. It only reads, and joins no consumer group. The ledger is shown by the page of `ingot up`, and by the metrics of the bridge and the aggregator.',
  flags: {},
  settings: ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'SCHEMA_REGISTRY_URL', 'WINDOW_IDLE', 'HTTP_HOST', 'HTTP_PORT', 'HTTP_TOKEN'],
  examples: [
    { line: 'ingot dashboard', shows: 'the page at http://127.0.0.1:7070' },
    { line: 'ingot dashboard --http-port 8080', shows: 'the page on another port' },
  ],
  drains: true,
  run: (context) =>
    runRole(context, {
      role: 'dashboard',
      start: (surroundings) => startDashboardRole(surroundings, { ledger: () => null }),
    }),
});
