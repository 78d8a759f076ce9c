import { ERROR_KINDS, IngotError } from '../errors.ts';
import { type Finding, fail, spanText } from './finding.ts';

/** Runs one check before its deadline. Never rejects: what goes wrong is what was found. */
export async function guarded(check: string, deadlineMs: number, work: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  const { promise: expired, resolve } = Promise.withResolvers<readonly Finding[]>();
  const timer = setTimeout(() => resolve([noAnswer(check, deadlineMs)]), deadlineMs);
  const working = work().catch((error: unknown) => [failureFinding(check, error)]);
  try {
    return await Promise.race([working, expired]);
  } finally {
    clearTimeout(timer);
  }
}

function noAnswer(check: string, deadlineMs: number): Finding {
  const what = `no answer within ${spanText(deadlineMs)}`;
  return { ...fail(check, what, 'Look whether it runs and can be reached from here; --deadline waits longer'), isUnreachable: true };
}

function failureFinding(check: string, error: unknown): Finding {
  if (!(error instanceof IngotError))
    return fail(check, error instanceof Error ? error.message : String(error), 'Run it again with LOG_LEVEL=debug');
  const { meaning, exitCode } = ERROR_KINDS[error.code];
  // The first sentence says what the message says, too, and some messages end with the advice.
  const what = error.message.replace(/[.:;]? (Check|See) [^.]*\.?$/, '').replace(/\.$/, '');
  const [, ...advice] = meaning.split(/(?<=\.) /);
  const finding = fail(check, what, advice.join(' '));
  return exitCode === 3 ? { ...finding, isUnreachable: true } : finding;
}

/** How long `ask` takes the second time: the first one may open a connection. */
export async function timed<Answer>(ask: () => Promise<Answer>): Promise<{ readonly answer: Answer; readonly latencyMs: number }> {
  await ask();
  const startedAtMs = performance.now();
  const answer = await ask();
  return { answer, latencyMs: performance.now() - startedAtMs };
}
