import { IngotError } from '../errors.ts';
import { findJava, findMosquitto, findPostgresFolder, isPartComplete, type Part, partFolder } from './setup/installed-parts.mjs';

// What the set-up has brought, or a message that says how to bring it.

function missing(what: string): IngotError {
  return new IngotError(
    'COMPONENT_MISSING',
    `${what} is not installed. Run 'npm start' or 'npm test' once: their set-up brings it or names the command that does. Or use configured addresses, or 'docker compose up'.`,
  );
}

/** IngotError `COMPONENT_MISSING`. */
export function requireJavaProgram(): string {
  const java = findJava();
  if (java === null) throw missing('Java 17 or newer');
  return java;
}

/** The folder of Kafka's jars or of the unpacked registry. IngotError `COMPONENT_MISSING`. */
export function requirePart(part: Part): string {
  if (!isPartComplete(part)) throw missing(part === 'kafka' ? 'Apache Kafka' : 'the schema registry');
  return partFolder(part);
}

/** IngotError `COMPONENT_MISSING`. */
export function requireMosquitto(): string {
  const program = findMosquitto();
  if (program === null) throw missing('mosquitto');
  return program;
}

/** The folder with initdb and postgres. IngotError `COMPONENT_MISSING`. */
export function requirePostgresFolder(): string {
  const folder = findPostgresFolder();
  if (folder === null) throw missing('PostgreSQL');
  return folder;
}
