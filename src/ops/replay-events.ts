import { log } from './log.ts';

// What there is to see of a replay besides the letters that it prints.

/** A transaction whose outcome the marks will tell. */
export function replayInDoubt(event: { partition: number; attempt: number; error: string }): void {
  log('replay').warn(event, 'a transaction failed; the marks are read again, and say what was committed');
}
