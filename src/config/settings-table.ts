import { fileURLToPath } from 'node:url';
import {
  booleanSetting,
  bytesSetting,
  choiceSetting,
  durationSetting,
  integerSetting,
  listSetting,
  numberSetting,
  optional,
  pathSetting,
  pemFileSetting,
  type Setting,
  secretSetting,
  textSetting,
  urlSetting,
} from './setting.ts';

// The one table of settings: parsing, --help, `ingot config print`, docs/configuration.md and the type of the configuration are all
// made from it. Names and defaults: product.md "Configuration".

const NAME = /^[A-Za-z0-9._-]{1,200}$/;
/** 1 to 65535. */
const PORT = '([1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
const NAME_ALLOWED = 'letters, digits, dot, underscore and hyphen';

export const SETTINGS = {
  mqtt: {
    url: urlSetting('MQTT_URL', {
      default: 'mqtt://127.0.0.1:1883',
      schemes: ['mqtt', 'mqtts', 'ws', 'wss'],
      help: 'The MQTT broker to read from.',
    }),
    username: optional(textSetting('MQTT_USERNAME', { default: '', help: 'User name at the MQTT broker.' })),
    password: secretSetting('MQTT_PASSWORD', { help: 'Password at the MQTT broker.' }),
    caFile: pemFileSetting('MQTT_TLS_CA_FILE', {
      block: 'CERTIFICATE',
      help: 'CAs that the certificate of the MQTT broker may be signed by, instead of the usual ones. For mqtts:// and wss://.',
    }),
    certFile: pemFileSetting('MQTT_TLS_CERT_FILE', {
      block: 'CERTIFICATE',
      help: 'Our certificate, for an MQTT broker that asks for one.',
    }),
    keyFile: pemFileSetting('MQTT_TLS_KEY_FILE', { block: 'PRIVATE KEY', help: 'The key of MQTT_TLS_CERT_FILE.' }),
    topics: listSetting('MQTT_TOPICS', {
      default: 'devices/+/telemetry',
      item: /^[^\p{Cc},]{1,1024}$/u,
      allowed: 'MQTT topic filters, separated by commas',
      help: 'Topic filters to subscribe to, of the form `devices/<id>/telemetry`: the level after `devices/` is the device id.',
    }),
    qos: integerSetting('MQTT_QOS', {
      default: '1',
      min: 0,
      max: 1,
      help: 'Quality of service of the subscription. At 0 the MQTT broker may drop messages; Ingot counts them as unprotected.',
    }),
    clientId: textSetting('MQTT_CLIENT_ID', {
      default: 'ingot-bridge',
      pattern: NAME,
      allowed: NAME_ALLOWED,
      help: 'First part of the MQTT client id; the instance id follows. The session at the broker belongs to it.',
    }),
    receiveMaximum: integerSetting('MQTT_RECEIVE_MAXIMUM', {
      default: '2000',
      min: 1,
      max: 65_535,
      help: 'Unacknowledged messages that the bridge asks the MQTT broker to limit itself to.',
    }),
  },
  kafka: {
    brokers: listSetting('KAFKA_BROKERS', {
      default: '127.0.0.1:9092',
      item: new RegExp(`^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+):${PORT}$`),
      allowed: 'host:port, separated by commas; an IPv6 address in brackets',
      help: 'Kafka brokers to start from.',
    }),
    clientId: textSetting('KAFKA_CLIENT_ID', {
      default: 'ingot',
      pattern: NAME,
      allowed: NAME_ALLOWED,
      help: 'First part of the Kafka client ids; role and instance id follow.',
    }),
    groupId: optional(
      textSetting('KAFKA_GROUP_ID', {
        default: '',
        pattern: NAME,
        allowed: NAME_ALLOWED,
        help: 'Consumer group. Default: one per role, from the topic prefix, for example telemetry.aggregator.',
      }),
    ),
    ssl: booleanSetting('KAFKA_SSL', { default: 'false', help: 'Talk TLS to the brokers; their certificates are verified.' }),
    caFile: pemFileSetting('KAFKA_SSL_CA_FILE', {
      block: 'CERTIFICATE',
      help: 'CAs that the certificates of the brokers may be signed by, instead of the usual ones. Needs KAFKA_SSL.',
    }),
    certFile: pemFileSetting('KAFKA_SSL_CERT_FILE', { block: 'CERTIFICATE', help: 'Our certificate, for brokers that ask for one.' }),
    keyFile: pemFileSetting('KAFKA_SSL_KEY_FILE', { block: 'PRIVATE KEY', help: 'The key of KAFKA_SSL_CERT_FILE.' }),
    saslMechanism: optional(
      choiceSetting('KAFKA_SASL_MECHANISM', {
        choices: ['plain', 'scram-sha-256', 'scram-sha-512'],
        help: 'How to authenticate at the brokers. Unset: not at all.',
      }),
    ),
    saslUsername: optional(textSetting('KAFKA_SASL_USERNAME', { default: '', help: 'User name at the brokers.' })),
    saslPassword: secretSetting('KAFKA_SASL_PASSWORD', { help: 'Password at the brokers.' }),
    topicPrefix: textSetting('KAFKA_TOPIC_PREFIX', {
      default: 'telemetry.',
      pattern: NAME,
      allowed: NAME_ALLOWED,
      help: 'Beginning of the name of every topic, group and transactional id.',
    }),
    acks: choiceSetting('KAFKA_ACKS', {
      default: 'all',
      choices: ['all', 'leader', 'none'],
      help: 'What the bridge waits for before it acknowledges to MQTT. Only `all` keeps the promise that nothing is lost.',
    }),
    compression: choiceSetting('KAFKA_COMPRESSION', {
      default: 'none',
      choices: ['none', 'gzip', 'snappy', 'zstd'],
      help: 'Compression of what is produced. Topics that `ingot topics create` makes with it are stored compressed; others as their compression.type says.',
    }),
    partitions: integerSetting('KAFKA_PARTITIONS', {
      default: '12',
      min: 1,
      max: 10_000,
      flag: 'partitions',
      help: 'Partitions of every topic that `ingot topics create` makes. It cannot be changed later.',
    }),
    replication: integerSetting('KAFKA_REPLICATION', {
      default: '-1',
      min: -1,
      max: 32_767,
      flag: 'replication',
      help: "Copies of every topic that `ingot topics create` makes; -1 is the cluster's own default.",
    }),
  },
  registry: {
    url: urlSetting('SCHEMA_REGISTRY_URL', {
      default: 'http://127.0.0.1:8081',
      schemes: ['http', 'https'],
      help: 'A Schema Registry with the Confluent API.',
    }),
    auth: secretSetting('SCHEMA_REGISTRY_AUTH', {
      pattern: /^[^:]+:.*$/,
      allowed: 'user:password',
      help: 'Basic authentication at the registry.',
    }),
    caFile: pemFileSetting('SCHEMA_REGISTRY_CA_FILE', {
      block: 'CERTIFICATE',
      help: 'CAs that the certificate of the registry may be signed by, instead of the usual ones. For https://.',
    }),
    certFile: pemFileSetting('SCHEMA_REGISTRY_CERT_FILE', {
      block: 'CERTIFICATE',
      help: 'Our certificate, for a registry that asks for one.',
    }),
    keyFile: pemFileSetting('SCHEMA_REGISTRY_KEY_FILE', { block: 'PRIVATE KEY', help: 'The key of SCHEMA_REGISTRY_CERT_FILE.' }),
    autoRegister: booleanSetting('SCHEMA_AUTO_REGISTER', {
      default: 'false',
      help: 'Register our schemas at the start. Without it they must be there: `ingot schemas register`.',
    }),
    unknownPatienceMs: durationSetting('SCHEMA_UNKNOWN_PATIENCE', {
      default: '30s',
      min: '0ms',
      max: '10m',
      help: 'For so long the registry is asked again for a schema id that it does not know, before its records are undecodable: a registry that is starting knows none.',
    }),
  },
  bridge: {
    batchRecords: integerSetting('BRIDGE_BATCH_RECORDS', {
      default: '2000',
      min: 1,
      max: 100_000,
      help: 'A batch is sent to Kafka when it holds this many records.',
    }),
    batchBytes: bytesSetting('BRIDGE_BATCH_BYTES', {
      default: '512KiB',
      min: 1024,
      max: 16 * 1024 ** 2,
      help: 'A batch is sent to Kafka when it holds this many bytes.',
    }),
    lingerMs: durationSetting('BRIDGE_LINGER', {
      default: '10ms',
      max: '10s',
      help: 'A batch is sent to Kafka when its first record has waited this long. Without a backlog a plain TCP connection to the MQTT broker is also read only this often, and what was read is sent at once.',
    }),
    inflightMessagesMax: integerSetting('BRIDGE_INFLIGHT_MESSAGES_MAX', {
      default: '4000',
      min: 1,
      max: 1_000_000,
      help: 'Received messages that are not acknowledged yet: at this many the bridge stops reading from MQTT.',
    }),
    inflightBytesMax: bytesSetting('BRIDGE_INFLIGHT_BYTES_MAX', {
      default: '32MiB',
      min: 64 * 1024,
      max: 4 * 1024 ** 3,
      help: 'The same limit in bytes: payloads, topics and MQTT 5 properties.',
    }),
    maxPayloadBytes: bytesSetting('MAX_PAYLOAD_BYTES', {
      default: '64KiB',
      min: 16,
      max: 16 * 1024 ** 2,
      help: 'A longer MQTT payload is a dead letter (its first 4 KiB and a hash are kept).',
    }),
    deviceRateLimit: numberSetting('DEVICE_RATE_LIMIT', {
      default: '0',
      min: 0,
      max: 1_000_000,
      help: 'Messages per second that one device may send for long. What is above is acknowledged, counted as shed, and gone. 0: no limit.',
    }),
    deviceRateBurst: integerSetting('DEVICE_RATE_BURST', {
      default: '10',
      min: 1,
      max: 1_000_000,
      help: 'Messages that a device may send at once after it was quiet, when DEVICE_RATE_LIMIT is set.',
    }),
    devicesMax: integerSetting('DEVICE_COUNT_MAX', {
      default: '0',
      min: 0,
      max: 10_000_000,
      help: 'Devices that one bridge takes. Messages of further ones are dead letters (`device_limit`) until one was silent for a day or two. 0: no limit.',
    }),
  },
  window: {
    sizeMs: durationSetting('WINDOW_SIZE', {
      default: '60s',
      min: '100ms',
      max: '7d',
      flag: 'window',
      help: 'Length of the tumbling windows, in event time.',
    }),
    graceMs: durationSetting('WINDOW_GRACE', {
      default: '10s',
      max: '7d',
      flag: 'grace',
      help: "How long a window waits for stragglers after its end, by the device's own time.",
    }),
    idleMs: durationSetting('WINDOW_IDLE', {
      default: '30s',
      max: '7d',
      flag: 'idle',
      help: 'A device that is silent this long has its windows closed.',
    }),
    batchSize: integerSetting('BATCH_SIZE', {
      default: '0',
      min: 0,
      max: 1_000_000,
      flag: 'batch-size',
      help: 'A batch of readings of one device in one window closes early at this many. 0: never.',
    }),
    skewMs: durationSetting('EVENT_TIME_SKEW', {
      default: '1m',
      max: '365d',
      help: 'A reading further ahead of its arrival than this is a dead letter (`future`).',
    }),
    pastLimitMs: durationSetting('EVENT_TIME_PAST_LIMIT', {
      default: '7d',
      min: '1s',
      max: '36500d',
      orUnlimited: true,
      help: 'A reading older than this at its arrival is a dead letter (`ancient`). `unlimited` for imports of old series.',
    }),
    settingsVersion: integerSetting('SETTINGS_VERSION', {
      default: '0',
      min: 0,
      max: 2_147_483_647,
      help: 'Which settings rule when aggregators with different ones meet: the higher version, among equals the later start.',
    }),
  },
  alerts: {
    rulesFile: optional(
      textSetting('RULES_FILE', { default: '', flag: 'rules', help: 'A YAML file of alert rules; it replaces the built-in rule.' }),
    ),
    thresholdCelsius: numberSetting('ALERT_THRESHOLD_CELSIUS', {
      default: '100',
      min: -273.15,
      max: 3000,
      help: 'The built-in rule raises an alert when the temperature is above this.',
    }),
    deadbandCelsius: numberSetting('ALERT_DEADBAND_CELSIUS', {
      default: '5',
      min: 0,
      max: 3000,
      help: 'The built-in rule resolves when the temperature is this far below the threshold.',
    }),
    toMqtt: booleanSetting('ALERTS_TO_MQTT', {
      default: 'true',
      help: 'Whether `ingot up` publishes alerts to the MQTT broker too. As a process of its own this is `ingot notices`.',
    }),
    mqttPrefix: textSetting('ALERTS_MQTT_PREFIX', {
      default: 'alerts/',
      pattern: /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*\/$/,
      allowed: 'levels of an MQTT topic, each ended by /',
      help: 'Before the device and the rule in the MQTT topic of an alert. What is retained below it is taken away when no such alert fires.',
    }),
  },
  sql: {
    databaseUrl: secretSetting('DATABASE_URL', {
      pattern: /^postgres(ql)?:\/\//,
      allowed: 'a URL beginning with postgres:// or postgresql://',
      help: 'PostgreSQL for the rows. Unset: the embedded database in the data folder.',
    }),
  },
  http: {
    host: textSetting('HTTP_HOST', {
      default: '127.0.0.1',
      pattern: /^[A-Za-z0-9.:_-]{1,255}$/,
      allowed: 'a host name or an address',
      help: 'Where health, metrics and the page listen. Anything but this machine needs HTTP_TOKEN for the page.',
    }),
    port: integerSetting('HTTP_PORT', {
      default: '7070',
      min: 0,
      max: 65_535,
      flag: 'http-port',
      help: 'Port for health, metrics and the page; 0 takes a free one. Default of the roles: bridge 7071, aggregate 7072, sink 7073, notices 7074.',
    }),
    token: secretSetting('HTTP_TOKEN', {
      pattern: /^[\x21-\x7e]{8,}$/,
      allowed: 'at least 8 visible ASCII characters',
      help: 'Bearer token that the page and its API ask for.',
    }),
  },
  log: {
    level: choiceSetting('LOG_LEVEL', {
      default: 'info',
      choices: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      help: 'The least important level that is logged. `debug` also prints the stack of an error.',
    }),
    format: choiceSetting('LOG_FORMAT', {
      default: 'auto',
      choices: ['auto', 'json', 'text'],
      help: 'Form of the log on stderr; auto is text on a terminal and json elsewhere. Of commands that are no roles it is text, and begins at `warn`.',
    }),
  },
  tracing: {
    otlpEndpoint: optional(
      urlSetting('OTEL_EXPORTER_OTLP_ENDPOINT', {
        default: '',
        schemes: ['http', 'https'],
        help: 'Where traces will go. Accepted and checked; this version sends none.',
      }),
    ),
  },
  instance: {
    id: optional(
      textSetting('INSTANCE_ID', {
        default: '',
        pattern: /^[A-Za-z0-9_-]{1,64}$/,
        allowed: 'letters, digits, underscore and hyphen, at most 64',
        help: 'Name of this process among others of its role, stable across restarts. Unset: one is made and kept in the data folder.',
      }),
    ),
    dataFolder: pathSetting('DATA_FOLDER', {
      default: 'data',
      base: projectRoot,
      help: "Folder for what must survive a restart. A relative path counts from the project's root.",
    }),
    shutdownTimeoutMs: durationSetting('SHUTDOWN_TIMEOUT', {
      default: '25s',
      min: '1s',
      max: '1h',
      help: 'A process that was told to stop drains for at most this long.',
    }),
  },
} as const;

type SettingValue<Of> = Of extends Setting<infer Value> ? Value : never;

/** The whole configuration, typed by the table above. */
export type Config = {
  readonly [Group in keyof typeof SETTINGS]: {
    readonly [Name in keyof (typeof SETTINGS)[Group]]: SettingValue<(typeof SETTINGS)[Group][Name]>;
  };
};

export type SettingGroup = keyof typeof SETTINGS;

export interface SettingPlace {
  readonly group: SettingGroup;
  readonly name: string;
  readonly setting: Setting<unknown>;
}

/** Every setting with its place in Config, in the order of the table. */
export const ALL_SETTINGS: readonly SettingPlace[] = Object.entries(SETTINGS).flatMap(([group, settings]) =>
  Object.entries(settings as Record<string, Setting<unknown>>).map(([name, setting]) => ({ group: group as SettingGroup, name, setting })),
);
