import { readTlsFiles } from '../../config/pem-file.ts';
import type { Config } from '../../config/settings-table.ts';
import type { RegistryOptions } from '../../registry/registry-client.ts';

/** How to reach the registry that the configuration names. Credentials in its URL are taken out of it: the URL is logged. */
export function registryAddress({ registry }: Pick<Config, 'registry'>): RegistryOptions {
  const url = new URL(registry.url);
  const inUrl = url.username === '' ? undefined : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return {
    url: inUrl === undefined ? registry.url : url.href,
    auth: registry.auth ?? inUrl,
    ...(url.protocol === 'https:' ? { tls: readTlsFiles(registry) } : {}),
  };
}
