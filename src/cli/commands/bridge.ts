import { defineCommand, isOfRunningStack } from '../command.ts';
import { startBridgeRole } from '../roles/bridge-role.ts';
import { runRole } from '../run-role.ts';

export const bridge = defineCommand({
  description:
    'Takes what devices publish over MQTT, checks it, and writes it to the readings topic as Avro, keyed by device. A message is acknowledged to the MQTT broker only after Kafka has its record, or its dead letter with the cause. The session at the MQTT broker is kept: what comes while no bridge runs is taken later, and what was not acknowledged comes again.',
  flags: {
    'end-session': {
      kind: 'boolean',
      help: 'Take what the session at the MQTT broker still holds, then end the session and this process: for scaling down.',
    },
  },
  settings: [
    'MQTT_URL',
    'MQTT_USERNAME',
    'MQTT_PASSWORD',
    'MQTT_TOPICS',
    'MQTT_CLIENT_ID',
    'KAFKA_BROKERS',
    'KAFKA_TOPIC_PREFIX',
    'KAFKA_ACKS',
    'SCHEMA_REGISTRY_URL',
    'SCHEMA_AUTO_REGISTER',
    'BRIDGE_BATCH_RECORDS',
    'BRIDGE_LINGER',
    'BRIDGE_INFLIGHT_MESSAGES_MAX',
    'MAX_PAYLOAD_BYTES',
    'INSTANCE_ID',
  ],
  // Each role has a port of its own, so that all of them can run on one machine.
  configDefaults: { HTTP_PORT: '7071' },
  examples: [
    { line: 'ingot bridge --mqtt-url mqtt://broker:1883 --kafka-brokers kafka:9092', shows: 'one bridge for all devices' },
    {
      line: "INSTANCE_ID=1 ingot bridge --mqtt-topics '$share/ingot/devices/+/telemetry'",
      shows: 'one of several that share the load; the order of the readings of a device is given up',
    },
    { line: 'INSTANCE_ID=1 ingot bridge --end-session', shows: 'that one goes for good and leaves no session behind' },
  ],
  drains: true,
  run: (context) =>
    runRole(context, {
      role: 'bridge',
      start: (surroundings) =>
        startBridgeRole(surroundings, { endSession: context.flags['end-session'], isBesideUp: isOfRunningStack(context, 'MQTT_URL') }),
    }),
});
