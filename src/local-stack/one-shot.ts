import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { IngotError } from '../errors.ts';

const run = promisify(execFile);
const DEADLINE_MS = 60_000;

export interface OneShotOptions {
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

/** Runs a program that ends by itself. IngotError `COMPONENT_FAILED` with what it said when it fails or takes more than a minute. */
export async function runToEnd(what: string, program: string, args: readonly string[], { user }: OneShotOptions = {}): Promise<void> {
  try {
    await run(program, args, { timeout: DEADLINE_MS, ...user });
  } catch (error) {
    const { message, stderr = '', stdout = '' } = error as Error & { stderr?: string; stdout?: string };
    throw new IngotError('COMPONENT_FAILED', `${what} failed: ${(stderr || stdout || message).trim().slice(-2_000)}`, { cause: error });
  }
}
