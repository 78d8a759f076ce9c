import type { ConnectionOptions } from 'node:tls';
import { readTlsFiles } from '../../config/pem-file.ts';
import type { Config } from '../../config/settings-table.ts';

export interface MqttAddress {
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
}

/**
 * How to reach the MQTT broker that the configuration names. Credentials in its URL are taken out of it: the client would split them at the
 * last colon, also when that belongs to the password.
 */
export function mqttAddress({ mqtt }: Pick<Config, 'mqtt'>): MqttAddress {
  const url = new URL(mqtt.url);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  return {
    url: username === '' && password === '' ? mqtt.url : url.href,
    username: mqtt.username ?? (username === '' ? undefined : decodeURIComponent(username)),
    password: mqtt.password ?? (password === '' ? undefined : decodeURIComponent(password)),
    tls: readTlsFiles(mqtt),
  };
}
