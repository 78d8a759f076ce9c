import type { FetchLoop, LogClient } from '../../src/kafka/log-port.ts';

// What the parts of the log's contract share.

export interface LogUnderTest {
  /** A client of its own, as another process would have one. */
  readonly newClient: (clientId?: string) => LogClient;
  /** A client whose log does not answer. */
  readonly newUnreachableClient: () => LogClient;
  readonly freshName: (prefix: string) => string;
}

export const LONG_POLL_MS = 80;
export const COMMITTED = {
  name: 'committed',
  maxWaitMs: LONG_POLL_MS,
  maxBytesPerPartition: 1_048_576,
  isolation: 'committed',
  reusesMemory: true,
} as const;

export interface LogContractContext {
  readonly log: () => LogUnderTest;
  readonly client: () => LogClient;
  /** Reads what is committed. */
  readonly loop: () => FetchLoop;
  /** Creates a topic of three partitions and gives its name. */
  readonly newTopic: (configs?: Record<string, string>) => Promise<string>;
}
