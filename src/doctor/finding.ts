// What `ingot doctor` says about one thing: one line each.

export type FindingState = 'ok' | 'warn' | 'fail';

export interface Finding {
  /** What was looked at, one or two words: `Kafka`, `clock`. */
  readonly check: string;
  readonly state: FindingState;
  readonly what: string;
  /** The next thing to do; empty when all is well. */
  readonly todo: string;
  /** How long the dependency took to answer one question on an open connection. */
  readonly latencyMs?: number;
  /** It is a dependency, and it does not answer. */
  readonly isUnreachable?: true;
}

export function ok(check: string, what: string, latencyMs?: number): Finding {
  return { check, state: 'ok', what, todo: '', ...(latencyMs !== undefined && { latencyMs }) };
}

export function warn(check: string, what: string, todo: string): Finding {
  return { check, state: 'warn', what, todo };
}

export function fail(check: string, what: string, todo: string): Finding {
  return { check, state: 'fail', what, todo };
}

/** The exit code of the CLI: 3 when a dependency does not answer, 4 when something is wrong, else 0. */
export function exitCodeFor(findings: readonly Finding[]): 0 | 3 | 4 {
  if (findings.some((finding) => finding.isUnreachable)) return 3;
  return findings.some((finding) => finding.state === 'fail') ? 4 : 0;
}

/** `12 ms`, `1.5 s`, `20 min`, `3 h`, `7 d`. */
export function spanText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  if (ms < 2 * 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}
