import { defineCommand } from '../command.ts';
import { startNoticesRole } from '../roles/notices-role.ts';
import { runRole } from '../run-role.ts';

export const notices = defineCommand({
  description:
    'Publishes alerts to MQTT as alerts/<device>/<rule>, JSON at QoS 1: retained while the alert fires, taken away when it has ended. At its start, and whenever the MQTT broker comes back, the retained messages are made right. Each state is told at least once; transitionNumber in the payload tells old from new. Run one of them.',
  flags: {},
  settings: [
    'MQTT_URL',
    'MQTT_USERNAME',
    'MQTT_PASSWORD',
    'ALERTS_MQTT_PREFIX',
    'KAFKA_BROKERS',
    'KAFKA_TOPIC_PREFIX',
    'SCHEMA_REGISTRY_URL',
  ],
  // Each role has a port of its own, so that all of them can run on one machine.
  configDefaults: { HTTP_PORT: '7074' },
  examples: [{ line: 'ingot notices', shows: 'alerts as retained messages at the MQTT broker' }],
  drains: true,
  run: (context) => runRole(context, { role: 'notices', start: startNoticesRole }),
});
