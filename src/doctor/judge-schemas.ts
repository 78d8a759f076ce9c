import type { SchemaStanding } from './doctor-ports.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const CHECK = 'schemas';

/** The files in schemas/ against the registry. `autoRegister` is SCHEMA_AUTO_REGISTER. */
export function judgeSchemas(standings: readonly SchemaStanding[], autoRegister: boolean): Finding[] {
  const findings = standings.flatMap((standing) => judgeOne(standing, autoRegister));
  const registered = standings.filter((standing) => standing.isRegistered).map(({ file }) => file);
  if (registered.length === 0) return findings;
  return [ok(CHECK, `registered as they are: ${registered.join(', ')}`), ...findings];
}

function judgeOne({ subject, file, isRegistered, isNeededToStart, incompatibility }: SchemaStanding, autoRegister: boolean): Finding[] {
  if (isRegistered) return [];
  if (incompatibility !== '') {
    return [
      fail(
        CHECK,
        `${file} cannot follow ${subject}: ${incompatibility}`,
        'Give the new field a default; a change of type needs a new field',
      ),
    ];
  }
  const what = `${file} is not registered under ${subject}; it could be`;
  if (!isNeededToStart) return [ok(CHECK, `${file} is not registered under ${subject} yet; no role needs it to start`)];
  if (autoRegister) return [warn(CHECK, what, 'The next start registers it (SCHEMA_AUTO_REGISTER)')];
  return [fail(CHECK, what, "'ingot schemas register'")];
}
