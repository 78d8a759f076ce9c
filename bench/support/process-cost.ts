import { readFileSync } from 'node:fs';

// What a process cost: CPU and peak memory as Linux accounts for them, from outside the process.

export interface ProcessCost {
  readonly cpuSeconds: number;
  readonly peakMemoryMiB: number;
}

/** _SC_CLK_TCK, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU so far and the peak of resident memory of a living process. */
export function processCost(pid: number): ProcessCost {
  // The second field is the name in parentheses and may hold blanks; utime and stime are the 12th and 13th after it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const peakKiB = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN);
  return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, peakMemoryMiB: peakKiB / 1024 };
}
