import { inject } from 'vitest';

// The real components of this test run. test/support/global-setup.ts starts them, or takes those of INGOT_TEST_STACK.

export interface TestStack {
  /** `host:port` of each Kafka broker. */
  readonly kafkaBrokers: readonly string[];
  /** Base URL of the Confluent API v7. */
  readonly registryUrl: string;
  readonly mosquittoUrl: string;
  readonly postgresUrl: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    stack: TestStack;
  }
}

/** Addresses of the components. Only for tests of the project `real`. */
export function stack(): TestStack {
  const provided: TestStack | undefined = inject('stack');
  if (provided === undefined) {
    throw new Error('This test needs real components: it belongs into test/contract, integration, integrity or e2e.');
  }
  return provided;
}

let namesGiven = 0;

/** A name that no other test and no earlier run has used: for topics, groups, client ids, subjects and databases. */
export function freshName(prefix: string): string {
  namesGiven += 1;
  return `${prefix}-${Date.now().toString(36)}-${process.pid.toString(36)}-${namesGiven}`;
}
