import { type RebuildContext, type RebuildOutcome, rebuildPartition } from '../../aggregator/rebuild-partition.ts';
import { defineCommand, QUIET_LOG } from '../command.ts';
import { OUTPUT_FLAG, printRows } from '../output.ts';
import { withRebuildContext } from '../roles/rebuild-surroundings.ts';

// `ingot rebuild-state`: after the state topic was lost or damaged.

interface RebuildRow {
  readonly partition: number;
  readonly state: 'rebuilt' | 'was whole' | 'never used';
  readonly nextOffset: number | null;
  readonly devices: number | null;
  readonly windowsOpen: number | null;
  readonly transactions: number | null;
  /** What is not exactly as it was; empty when all is. */
  readonly inexact: readonly string[];
}

export const rebuildState = defineCommand({
  description:
    "Repeats the fold of readings and journal, as far back as both are kept, up to the journal's end, and writes the state that this comes to. It writes nothing else, so nothing is counted or raised twice. A partition whose state is whole is left alone. Where the beginning is gone, it says what cannot be as it was. Stop every aggregator of the group first; when the state topic is missing, create it with 'ingot topics create'.",
  flags: { ...OUTPUT_FLAG },
  examples: [{ line: 'ingot rebuild-state', shows: 'one line per partition, and what is not exact' }],
  settings: ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'KAFKA_GROUP_ID', 'SCHEMA_REGISTRY_URL'],
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const rows = await withRebuildContext(context.config(), rebuildAll);
    await printRows(context, rows, {
      columns: [
        { title: 'partition', cell: (row) => row.partition, alignRight: true },
        { title: 'state', cell: (row) => row.state, style: (row) => (row.inexact.length > 0 ? 'yellow' : 'green') },
        { title: 'next offset', cell: (row) => row.nextOffset, alignRight: true },
        { title: 'devices', cell: (row) => row.devices, alignRight: true },
        { title: 'windows open', cell: (row) => row.windowsOpen, alignRight: true },
        { title: 'transactions', cell: (row) => row.transactions, alignRight: true },
        { title: 'exact', cell: (row) => (row.inexact.length > 0 ? 'no' : 'yes') },
      ],
    });
    for (const { partition, inexact } of rows)
      for (const sentence of inexact) context.stderr.write(`partition ${partition}: ${sentence}\n`);
    return 0;
  },
});

/** One after the other: a fold may need much memory. */
async function rebuildAll(context: RebuildContext): Promise<RebuildRow[]> {
  const rows: RebuildRow[] = [];
  for (let partition = 0; partition < context.partitions; partition++)
    rows.push(rowOf(partition, await rebuildPartition(context, partition)));
  return rows;
}

function rowOf(partition: number, outcome: RebuildOutcome): RebuildRow {
  if (outcome.kind !== 'rebuilt') {
    const state = outcome.kind === 'whole' ? 'was whole' : 'never used';
    return { partition, state, nextOffset: null, devices: null, windowsOpen: null, transactions: null, inexact: [] };
  }
  const { nextOffset, devices, openParts: windowsOpen, transactions, inexact } = outcome.report;
  return { partition, state: 'rebuilt', nextOffset, devices, windowsOpen, transactions, inexact };
}
