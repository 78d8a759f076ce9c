import { flagOfSetting, type LoadedConfig } from '../config/load-config.ts';
import { type ErrorCode, IngotError } from '../errors.ts';

// Who types a command without a running stack gets a default address where nobody listens: the error alone would not say where it came from.

const ADDRESS_OF: Partial<Record<ErrorCode, string>> = {
  KAFKA_UNREACHABLE: 'KAFKA_BROKERS',
  REGISTRY_UNREACHABLE: 'SCHEMA_REGISTRY_URL',
  MQTT_UNREACHABLE: 'MQTT_URL',
};

/** What to do about an address that nobody has given; null when somebody has, or the error is about something else. */
export function addressHint(error: unknown, { settings, config }: LoadedConfig): string | null {
  const variable = error instanceof IngotError ? ADDRESS_OF[error.code] : undefined;
  const resolved = settings.find(({ setting }) => setting.variable === variable);
  if (resolved?.origin !== 'default' || config === null) return null;
  const { setting, text } = resolved;
  return `${text} is the default: no ${setting.variable} was given, and no 'ingot up' runs on ${config.instance.dataFolder} (DATA_FOLDER). Start one, or give --${flagOfSetting(setting)}.`;
}
