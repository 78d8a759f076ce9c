import type { Bench } from '../support/bench.ts';
import { type Contender, startRole, startScript } from '../support/contender.ts';

// Ours and what it is compared with.

export interface BridgeContender {
  readonly name: 'ours' | 'naive' | 'before' | 'after';
  /** As the table has it. */
  readonly words: string;
  /** The share of the messages that it is given: 1 divided by this. */
  readonly divisor: number;
  /** Whether it can take the steady load at all on two processors. */
  readonly isFast: boolean;
  clientId(prefix: string): string;
  start(bench: Bench, prefix: string): Promise<Contender>;
}

const script = (file: string, environment: Record<string, string> = {}): Pick<BridgeContender, 'clientId' | 'start'> => ({
  clientId: (prefix) => prefix,
  start: async (bench, prefix) => startScript(bench, new URL(file, import.meta.url), { prefix, environment }),
});

export const BRIDGE_CONTENDERS: readonly BridgeContender[] = [
  {
    name: 'ours',
    words: 'Ingot',
    divisor: 1,
    isFast: true,
    clientId: (prefix) => `${prefix}-1`,
    start: (bench, prefix) => startRole(bench, { words: ['bridge'], prefix }),
  },
  // It takes the whole backlog into its memory, and is an order of magnitude slower.
  { name: 'naive', words: 'produce per message', divisor: 20, isFast: false, ...script('naive-bridge.ts') },
  {
    name: 'before',
    words: 'batches, PUBACK before Kafka',
    divisor: 1,
    isFast: true,
    ...script('batching-bridge.ts', { ACKNOWLEDGE: 'before' }),
  },
  {
    name: 'after',
    words: 'batches, PUBACK after Kafka',
    divisor: 1,
    isFast: true,
    ...script('batching-bridge.ts', { ACKNOWLEDGE: 'after' }),
  },
];
