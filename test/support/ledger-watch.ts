import { setTimeout as sleep } from 'node:timers/promises';
import { type RoleMetrics, readMetrics } from './role-metrics.ts';
import type { RoleProcess } from './role-process.ts';

// Scrapes the metrics of a bridge from its beginning to its end, whatever is done to it meanwhile, and checks the loss ledger each time:
// received = produced + dead-lettered + ignored + shed + in flight.

export interface ScrapedLedger {
  readonly received: number;
  readonly produced: number;
  readonly deadLettered: number;
  readonly ignored: number;
  readonly shed: number;
  readonly inFlight: number;
}

const EVERY_MS = 50;

export class LedgerWatch {
  readonly role: RoleProcess;
  /** The last one; null when it ended before the first. */
  last: ScrapedLedger | null = null;
  scrapes = 0;
  /** Ledgers that did not add up. */
  readonly unbalanced: ScrapedLedger[] = [];
  inFlightMax = 0;
  residentBytesMax = 0;
  #isOver = false;
  readonly #ended: Promise<void>;

  constructor(role: RoleProcess) {
    this.role = role;
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  /** For measuring what comes: forgets the largest numbers so far. */
  resetMaxima(): void {
    this.inFlightMax = 0;
    this.residentBytesMax = 0;
  }

  async #run(): Promise<void> {
    const hasEnded = () => this.role.child.exitCode !== null || this.role.child.signalCode !== null;
    while (!this.#isOver && !hasEnded()) {
      // One that is starting, was killed or is frozen does not answer.
      const metrics = await readMetrics(this.role).catch(() => null);
      if (metrics !== null && metrics.sum('build_info') === 1) this.#check(metrics);
      await sleep(EVERY_MS);
    }
  }

  #check(metrics: RoleMetrics): void {
    const ledger = ledgerOf(metrics);
    const { received, produced, deadLettered, ignored, shed, inFlight } = ledger;
    this.scrapes++;
    this.last = ledger;
    if (received !== produced + deadLettered + ignored + shed + inFlight) this.unbalanced.push(ledger);
    this.inFlightMax = Math.max(this.inFlightMax, inFlight);
    this.residentBytesMax = Math.max(this.residentBytesMax, metrics.sample('process_resident_memory_bytes'));
  }
}

function ledgerOf(metrics: RoleMetrics): ScrapedLedger {
  return {
    received: metrics.sum('bridge_messages_received_total'),
    produced: metrics.sum('readings_produced_total'),
    deadLettered: metrics.sum('dead_letters_total', { stage: 'bridge' }),
    ignored: metrics.sum('bridge_messages_ignored_total'),
    shed: metrics.sum('bridge_messages_shed_total'),
    inFlight: metrics.sum('bridge_inflight_messages'),
  };
}
