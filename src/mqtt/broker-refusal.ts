import { type TlsSettingNames, tlsAdvice } from '../core/tls-failure.ts';
import { IngotError } from '../errors.ts';

// What it means that an MQTT broker could not be connected to. `where` names the broker in the messages.

const TLS_SETTINGS: TlsSettingNames = {
  address: 'MQTT_URL',
  ca: 'MQTT_TLS_CA_FILE',
  certificate: 'MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE',
};
const UNACCEPTABLE_PROTOCOL_VERSIONS: readonly unknown[] = [1, 0x84];

/** IngotError `MQTT_REFUSED` when trying again would not help; null when it may. */
export function refusalOf(error: Error, where: string): IngotError | null {
  const advice = tlsAdvice(error.message, TLS_SETTINGS);
  if (advice !== null) return new IngotError('MQTT_REFUSED', `${where}: ${error.message}. ${advice}.`, { cause: error });
  const { code } = error as Error & { code?: unknown };
  // Network errors have a text as code, CONNACK's reasons a number. "Server unavailable" and "busy" pass by themselves.
  if (typeof code !== 'number' || code === 3 || code === 0x88 || code === 0x89) return null;
  return new IngotError('MQTT_REFUSED', `${where} refused the connection: ${error.message}`, {
    cause: error,
    details: { reasonCode: code },
  });
}

export function unreachable(where: string, deadlineMs: number, cause: Error | undefined): IngotError {
  const why = cause === undefined ? 'no answer' : cause.message;
  return new IngotError('MQTT_UNREACHABLE', `${where} did not accept a connection within ${deadlineMs} ms: ${why}`, { cause });
}

export function isProtocolVersionRefused(error: unknown): boolean {
  return error instanceof IngotError && UNACCEPTABLE_PROTOCOL_VERSIONS.includes(error.details['reasonCode']);
}
