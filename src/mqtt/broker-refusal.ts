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
  return refused(where, error, code);
}

/** `reasonCode` is that of CONNACK. */
export function refused(where: string, cause: Error, reasonCode: number): IngotError {
  const message = `${where} refused the connection: ${cause.message}. Check MQTT_USERNAME, MQTT_PASSWORD and MQTT_CLIENT_ID.`;
  return new IngotError('MQTT_REFUSED', message, { cause, details: { reasonCode } });
}

export function unreachable(where: string, deadlineMs: number, cause: Error | undefined): IngotError {
  const message = `${where} did not accept a connection within ${deadlineMs} ms: ${networkFailure(cause)}. Check MQTT_URL.`;
  return new IngotError('MQTT_UNREACHABLE', message, { cause });
}

/** In words, without a full stop. Of an attempt at several addresses the error has no message of its own. */
export function networkFailure(cause: Error | undefined): string {
  if (cause === undefined) return 'no answer';
  return cause.message === '' ? String((cause as NodeJS.ErrnoException).code ?? cause.name) : cause.message;
}

export function isProtocolVersionRefused(error: unknown): boolean {
  return error instanceof IngotError && UNACCEPTABLE_PROTOCOL_VERSIONS.includes(error.details['reasonCode']);
}
