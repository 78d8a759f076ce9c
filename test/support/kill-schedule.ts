import type { RoleProcess } from './role-process.ts';

// Kills at moments that nobody has chosen, and that can be chosen again: all of them follow from a seed.

/** Numbers from 0 (inclusive) to 1: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** INGOT_FAULT_SEED, or a new one. */
export function faultSeed(): number {
  return Number(process.env['INGOT_FAULT_SEED'] ?? Math.floor(Math.random() * 1_000_000_000));
}

export interface KillSchedule {
  readonly first: RoleProcess;
  readonly times: number;
  /** The line of the log from which on the role works; only then its moment is asked for. */
  readonly readyLine: string;
  /** Resolves when the process is to die; `time` is 0, 1, ... */
  moment(role: RoleProcess, time: number): Promise<unknown>;
  start(): RoleProcess;
}

/**
 * Kills a role with -9 in the middle of its work, starts it again, and so on. Resolves with the last process, at work, and with
 * those that were killed.
 */
export async function killAgainAndAgain(schedule: KillSchedule): Promise<{ role: RoleProcess; killed: readonly RoleProcess[] }> {
  const killed: RoleProcess[] = [];
  let role = schedule.first;
  for (let time = 0; time < schedule.times; time++) {
    await role.logged(schedule.readyLine);
    await schedule.moment(role, time);
    await role.kill();
    killed.push(role);
    role = schedule.start();
  }
  await role.logged(schedule.readyLine);
  return { role, killed };
}
