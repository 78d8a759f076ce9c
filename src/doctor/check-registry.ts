import type { SchemaStanding } from './doctor-ports.ts';
import { type Finding, ok, spanText, warn } from './finding.ts';
import { guarded, timed } from './guarded.ts';
import { judgeSchemas } from './judge-schemas.ts';

export interface RegistryCheck {
  /** For messages: the URL without secrets, and where it came from. */
  readonly address: string;
  /** One request that any registry answers. */
  ask(): Promise<unknown>;
  standings(): Promise<readonly SchemaStanding[]>;
  /** SCHEMA_AUTO_REGISTER. */
  readonly autoRegister: boolean;
  readonly deadlineMs: number;
}

export async function checkRegistry({ address, ask, standings, autoRegister, deadlineMs }: RegistryCheck): Promise<readonly Finding[]> {
  const answered = await guarded('registry', deadlineMs, async () => {
    const { latencyMs } = await timed(ask);
    return [ok('registry', `${address} answers in ${spanText(latencyMs)}`, latencyMs)];
  });
  if (answered.some((finding) => finding.state === 'fail')) {
    const named = answered.map((finding) => ({ ...finding, what: `${address}: ${finding.what}` }));
    return [...named, warn('schemas', 'not looked at, because the registry does not answer', 'See registry above')];
  }
  return [...answered, ...(await guarded('schemas', deadlineMs, async () => judgeSchemas(await standings(), autoRegister)))];
}
