import type { Finding } from './finding.ts';
import { ok, spanText } from './finding.ts';
import { guarded, timed } from './guarded.ts';

export interface DatabaseCheck {
  /** For messages: without user and password, and where it came from. */
  readonly address: string;
  /** The version as PostgreSQL tells it; null when the rows go into the embedded database. */
  readonly askVersion: (() => Promise<string>) | null;
  readonly deadlineMs: number;
}

export async function checkDatabase({ address, askVersion, deadlineMs }: DatabaseCheck): Promise<readonly Finding[]> {
  if (askVersion === null)
    return [ok('SQL', `${address}: the embedded database, which one process at a time may open; for demos and small fleets`)];
  const findings = await guarded('SQL', deadlineMs, async () => {
    const { answer, latencyMs } = await timed(askVersion);
    return [ok('SQL', `${address} answers in ${spanText(latencyMs)}; ${answer.split(' on ')[0]}`, latencyMs)];
  });
  return findings.map((finding) => (finding.state === 'fail' ? { ...finding, what: `${address}: ${finding.what}` } : finding));
}
