import { existsSync } from 'node:fs';
import { classArchiveFile, type Part } from './setup/installed-parts.mjs';

// Half of the time in which Kafka and the registry start goes into loading classes. The JVM can keep them as it has laid them out once
// (JEP 350, application class-data sharing). The set-up makes these archives; without one everything works, and starts more slowly.

/** Flags of the JVM that starts this part; `making` is a file to write the archive into when it ends. A JVM that an archive does not fit goes on without it. */
export function classArchiveFlags(part: Part, making?: string): readonly string[] {
  if (making !== undefined) return [`-XX:ArchiveClassesAtExit=${making}`];
  const file = classArchiveFile(part);
  return file !== null && existsSync(file) ? [`-XX:SharedArchiveFile=${file}`] : [];
}

/** How long the end takes at most when the archive is written. */
export const ARCHIVE_DEADLINE_MS = 120_000;
