import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Which topic filters the session at the MQTT broker may hold. A kept session keeps its subscriptions, and MQTT has no way to ask
 * for them: whoever takes a filter out of MQTT_TOPICS would go on receiving it.
 */
export interface SubscriptionMemory {
  load(): Promise<readonly string[]>;
  save(filters: readonly string[]): Promise<void>;
}

/** Remembers nothing: for a session that ends with the connection. */
export const noSubscriptionMemory: SubscriptionMemory = { load: async () => [], save: async () => {} };

/** Keeps the filters in a JSON file, replaced as a whole. A file that is missing or not understood counts as empty. */
export function subscriptionFile(path: string): SubscriptionMemory {
  return {
    async load() {
      try {
        const filters: unknown = JSON.parse(await readFile(path, 'utf8'));
        return Array.isArray(filters) ? filters.filter((filter) => typeof filter === 'string') : [];
      } catch {
        return [];
      }
    },
    async save(filters) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.new`, `${JSON.stringify(filters)}\n`);
      await rename(`${path}.new`, path);
    },
  };
}
