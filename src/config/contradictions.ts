import { telemetryScope } from '../core/telemetry-filter.ts';
import { type PemBlock, pemFileProblem, tlsFilesProblems } from './pem-file.ts';
import type { Config } from './settings-table.ts';

// What no single setting can tell: settings that do not go together, and secrets that would travel in the clear.

/** One sentence each: what does not go together, and what would. */
export function contradictions(config: Config): readonly string[] {
  const { kafka, mqtt, bridge } = config;
  const found: string[] = [...topicProblems(config), ...saslProblems(config), ...tlsProblems(config), ...databaseProblems(config)];
  if (kafka.replication === 0) found.push('KAFKA_REPLICATION: given "0"; allowed is -1 or a number from 1.');
  const hasUser = mqtt.username !== null || new URL(mqtt.url).username !== '';
  if (mqtt.password !== null && !hasUser) found.push('MQTT_PASSWORD is given without MQTT_USERNAME; give both.');
  if (bridge.inflightBytesMax < bridge.maxPayloadBytes) {
    found.push(
      `BRIDGE_INFLIGHT_BYTES_MAX (${bridge.inflightBytesMax}) is below MAX_PAYLOAD_BYTES (${bridge.maxPayloadBytes}); allowed is at least that.`,
    );
  }
  return found;
}

/** Filters with which every single message would become a dead letter, and nothing would look wrong. */
function topicProblems({ mqtt }: Config): readonly string[] {
  const malformed = mqtt.topics.filter((filter) => telemetryScope(filter) === 'malformed');
  if (malformed.length > 0) {
    return malformed.map((filter) => `MQTT_TOPICS: "${filter}" is no MQTT topic filter: + and # stand for whole levels, # for the last.`);
  }
  if (mqtt.topics.some((filter) => telemetryScope(filter) !== 'never')) return [];
  const given = mqtt.topics.map((filter) => `"${filter}"`).join(', ');
  return [
    `MQTT_TOPICS: ${given} takes no topic of a device; devices publish to devices/<id>/telemetry, so allowed is for example devices/+/telemetry.`,
  ];
}

function saslProblems({ kafka }: Config): readonly string[] {
  if (kafka.saslMechanism !== null && (kafka.saslUsername === null || kafka.saslPassword === null)) {
    return [
      'KAFKA_SASL_MECHANISM is given without KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE); give all three.',
    ];
  }
  if (kafka.saslMechanism === null && (kafka.saslUsername !== null || kafka.saslPassword !== null)) {
    return ['KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is given without KAFKA_SASL_MECHANISM; give all three or none.'];
  }
  return [];
}

/** Files for TLS where no TLS is spoken: whoever gave them believes that the connection is protected. */
function tlsProblems({ mqtt, kafka, registry }: Config): readonly string[] {
  const places = [
    { prefix: 'MQTT_TLS', files: mqtt, isTls: /^(mqtts|wss):/.test(mqtt.url), toSpeakTls: 'MQTT_URL beginning with mqtts:// or wss://' },
    { prefix: 'KAFKA_SSL', files: kafka, isTls: kafka.ssl, toSpeakTls: 'KAFKA_SSL=true' },
    {
      prefix: 'SCHEMA_REGISTRY',
      files: registry,
      isTls: registry.url.startsWith('https:'),
      toSpeakTls: 'SCHEMA_REGISTRY_URL beginning with https://',
    },
  ];
  return places.flatMap(({ prefix, files, isTls, toSpeakTls }) => {
    if (files.caFile === null && files.certFile === null && files.keyFile === null) return [];
    if (!isTls) return [`${prefix}_CA_FILE, _CERT_FILE or _KEY_FILE is given, but no TLS is spoken; they need ${toSpeakTls}.`];
    return tlsFilesProblems(prefix, files);
  });
}

const FILES_OF_DATABASE_URL: Readonly<Record<string, PemBlock>> = {
  sslrootcert: 'CERTIFICATE',
  sslcert: 'CERTIFICATE',
  sslkey: 'PRIVATE KEY',
};

/** The driver reads these files at each connection, and takes a file that is not there for a database that is away. */
function databaseProblems({ sql }: Config): readonly string[] {
  const parameters = sql.databaseUrl === null ? null : URL.parse(sql.databaseUrl)?.searchParams;
  return Object.entries(FILES_OF_DATABASE_URL).flatMap(([name, block]) => {
    const path = parameters?.get(name) ?? null;
    const problem = path === null ? null : pemFileProblem(path, block);
    return problem === null ? [] : [`DATABASE_URL: its ${name} is ${JSON.stringify(path)}; ${problem}; allowed is a readable PEM file.`];
  });
}

/** Warnings: what works, and is hardly meant. */
export function doubtfulSettings(config: Config): readonly string[] {
  const noTraces = 'OTEL_EXPORTER_OTLP_ENDPOINT is given, and this version sends no traces of its own.';
  return [...doubtfulFilters(config), ...unprotectedSecrets(config), ...(config.tracing.otlpEndpoint === null ? [] : [noTraces])];
}

function doubtfulFilters({ mqtt }: Config): readonly string[] {
  const dead = 'their messages become dead letters.';
  return mqtt.topics.flatMap((filter) => {
    const scope = telemetryScope(filter);
    if (scope === 'wider') return [`MQTT_TOPICS: "${filter}" takes other topics than devices/<id>/telemetry too; ${dead}`];
    return scope === 'never' ? [`MQTT_TOPICS: "${filter}" takes only other topics than devices/<id>/telemetry; ${dead}`] : [];
  });
}

const THIS_MACHINE = /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/;

/** Passwords that anybody on the way could read. */
function unprotectedSecrets({ mqtt, kafka, registry }: Config): readonly string[] {
  const warnings: string[] = [];
  const isFar = (url: string) => !THIS_MACHINE.test(new URL(url).hostname);
  if ((mqtt.password !== null || new URL(mqtt.url).password !== '') && /^(mqtt|ws):/.test(mqtt.url) && isFar(mqtt.url)) {
    warnings.push('The password at the MQTT broker is sent unencrypted. Use mqtts:// or wss:// in MQTT_URL.');
  }
  if (kafka.saslMechanism === 'plain' && !kafka.ssl && kafka.brokers.some((broker) => !THIS_MACHINE.test(broker.replace(/:\d+$/, '')))) {
    warnings.push('The password at Kafka is sent unencrypted. Set KAFKA_SSL=true, or use a SCRAM mechanism.');
  }
  if ((registry.auth !== null || new URL(registry.url).password !== '') && registry.url.startsWith('http:') && isFar(registry.url)) {
    warnings.push('The password at the Schema Registry is sent unencrypted. Use https:// in SCHEMA_REGISTRY_URL.');
  }
  return warnings;
}
