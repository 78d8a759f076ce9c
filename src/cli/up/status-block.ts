import type { AggregatorLedger } from '../../ops/aggregator-events.ts';
import { type BridgeLedger, isBalanced, unknownLosses } from '../../ops/bridge-events.ts';
import { styled } from '../terminal-text.ts';

// What `ingot up` shows of the running pipeline: pure text from numbers.

export interface PipelineSnapshot {
  readonly runningForMs: number;
  readonly devices: number;
  readonly bridge: BridgeLedger;
  readonly aggregator: AggregatorLedger;
  readonly openWindows: number;
  readonly alertsFiring: number;
  readonly lagRecords: number;
  /** Rows written to SQL; null without a sink. */
  readonly sqlRows: number | null;
}

/** Whether every message and every reading has exactly one place in the ledger. */
export function isLedgerBalanced({ bridge, aggregator }: PipelineSnapshot): boolean {
  const outcomes = Object.values(aggregator.outcomes).reduce((total, count) => total + count, 0);
  return isBalanced(bridge) && aggregator.consumed === outcomes;
}

export interface BlockOptions {
  /** Of received messages; null when there is no rate to tell. */
  readonly perSecond: number | null;
  readonly useColor: boolean;
  /** What is being stopped just now; null while nothing is. */
  readonly stopping: string | null;
}

/** The block that is drawn again and again on a terminal. */
export function statusBlock(now: PipelineSnapshot, { perSecond, useColor, stopping }: BlockOptions): string[] {
  const { bridge, aggregator } = now;
  const refused = rejectedOf(aggregator);
  const unknown = unknownLosses(bridge);
  const rows: readonly (readonly [string, string])[] = [
    ['running', clock(now.runningForMs)],
    ['devices', count(now.devices)],
    ['received', `${count(bridge.received)} messages over MQTT${perSecond === null ? '' : `, ${count(Math.round(perSecond))}/s`}`],
    ['produced', `${count(bridge.produced)} readings to Kafka, ${count(bridge.inFlight)} in flight`],
    ['windows', `${count(aggregator.windowsEmitted)} rows closed, ${count(now.openWindows)} windows open`],
    ['alerts', `${count(now.alertsFiring)} firing, ${count(aggregator.alertsRaised)} raised, ${count(aggregator.alertsEnded)} ended`],
    ['dead letters', `${count(bridge.deadLettered)} from the bridge, ${count(refused)} from the aggregator`],
    [
      'late, duplicate',
      `${count(aggregator.late)} late (counted), ${count(aggregator.outcomes['duplicate'] ?? 0)} duplicate (not counted)`,
    ],
    ['end to end', latency(aggregator)],
    ...(now.sqlRows === null ? [] : [['SQL', `${count(now.sqlRows)} rows written`] as const]),
    ['ledger', styled(ledgerText(now), isLedgerBalanced(now) ? 'green' : 'red', useColor)],
    ...(unknown === null ? [] : [['not in it', unknown] as const]),
    ...(stopping === null ? [] : [['stopping', stopping] as const]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
}

/** The same in one line, for a log file. */
export function statusLine(now: PipelineSnapshot, perSecond: number): string {
  const { bridge, aggregator } = now;
  return [
    `devices ${now.devices}`,
    `received ${bridge.received} (${Math.round(perSecond)}/s)`,
    `produced ${bridge.produced}`,
    `windows closed ${aggregator.windowsEmitted}`,
    `alerts firing ${now.alertsFiring}`,
    `dead letters ${bridge.deadLettered + rejectedOf(aggregator)}`,
    `end to end ${latency(aggregator)}`,
    `ledger ${ledgerText(now)}`,
  ].join(' | ');
}

function ledgerText(now: PipelineSnapshot): string {
  if (!isLedgerBalanced(now)) return 'NOT BALANCED: see /metrics';
  const waiting = now.bridge.inFlight + now.lagRecords;
  return waiting === 0 ? 'balanced, nothing under way' : `balanced, ${count(waiting)} under way`;
}

function rejectedOf({ outcomes }: AggregatorLedger): number {
  const accepted = new Set(['counted', 'not_aggregatable', 'duplicate']);
  return Object.entries(outcomes).reduce((total, [outcome, readings]) => total + (accepted.has(outcome) ? 0 : readings), 0);
}

function latency({ latencyMs }: AggregatorLedger): string {
  return latencyMs === null ? 'not yet known' : `p50 ${Math.round(latencyMs.p50)} ms, p99 ${Math.round(latencyMs.p99)} ms`;
}

/** Digits in groups of three, separated by thin room that every terminal can show. */
function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ');
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (part: number): string => String(part).padStart(2, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
