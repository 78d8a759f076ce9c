import type { Bench } from '../support/bench.ts';
import type { Figure } from '../support/figures.ts';
import { BRIDGE_CONTENDERS, type BridgeContender } from './contenders.ts';
import { type Drained, drainBacklog } from './drain.ts';
import { type Steady, steadyBridge } from './steady.ts';

// The bridge alone, against scripts on the same work in the same run.

/** A backlog. */
export async function drainBridge(bench: Bench): Promise<readonly Figure[]> {
  return drainFigures(await each(bench, contenders(bench), drainBacklog));
}

/** A steady load. */
export async function steadyLoadOnBridge(bench: Bench): Promise<readonly Figure[]> {
  const fast = contenders(bench).filter(({ isFast }) => isFast);
  return steadyFigures(bench, await each(bench, fast, steadyBridge));
}

function contenders({ sizes }: Bench): readonly BridgeContender[] {
  return BRIDGE_CONTENDERS.filter(({ name }) => name === 'ours' || sizes.against.includes(name));
}

type Results<Result> = readonly { readonly contender: BridgeContender; readonly result: Result }[];

async function each<Result>(
  bench: Bench,
  contenders: readonly BridgeContender[],
  measure: (bench: Bench, contender: BridgeContender) => Promise<Result>,
): Promise<Results<Result>> {
  const results: { contender: BridgeContender; result: Result }[] = [];
  for (const contender of contenders) {
    process.stderr.write(`  ${contender.words}\n`);
    results.push({ contender, result: await measure(bench, contender) });
  }
  return results;
}

function drainFigures(results: Results<Drained>): Figure[] {
  return [
    ...rows(results, { name: 'bridge, backlog: messages/s', of: (result) => result.messagesPerSecond, target: '>= 100000' }),
    ...rows(results, { name: 'bridge, backlog: us CPU per message', of: (result) => result.cpuMicrosPerMessage, target: '<= 8' }),
    ...rows(results, { name: 'bridge, backlog: peak MiB', of: (result) => result.peakMemoryMiB, target: '< 191 (200 MB)' }),
    ...rows(results, { name: 'bridge, backlog: duplicates', of: (result) => result.duplicates, target: '0' }),
    ...rows(results, { name: 'bridge, backlog: lost', of: (result) => result.lost, target: '0' }),
  ];
}

function steadyFigures({ sizes }: Bench, results: Results<Steady>): Figure[] {
  const at = `bridge, ${sizes.bridgeRatePerSecond}/s`;
  return [
    ...rows(results, { name: `${at}: us CPU per message`, of: (result) => result.cpuMicrosPerMessage, target: '<= 20' }),
    ...rows(results, { name: `${at}: latency p50 ms`, of: (result) => result.p50Ms, target: '' }),
    ...rows(results, { name: `${at}: latency p99 ms`, of: (result) => result.p99Ms, target: '< 25' }),
    ...rows(results, { name: `${at}: peak MiB`, of: (result) => result.peakMemoryMiB, target: '' }),
    ...rows(results, { name: `${at}: duplicates`, of: (result) => result.duplicates, target: '0' }),
    ...rows(results, { name: `${at}: lost`, of: (result) => result.lost, target: '0' }),
  ];
}

/** One row per script, or one of our own when there is none. */
function rows<Result>(results: Results<Result>, row: { name: string; of: (result: Result) => number; target: string }): Figure[] {
  const [ours, ...scripts] = results;
  const { name, of, target } = row;
  if (scripts.length === 0) return [{ name, ours: of(ours!.result), yardstick: null, target }];
  return scripts.map(({ contender, result }, index) => ({
    name: `${name} | ${contender.words}`,
    ours: of(ours!.result),
    yardstick: of(result),
    target: index === 0 ? target : '',
  }));
}
