import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKafka } from './kafka.ts';
import { startRegistry } from './registry.ts';
import { classArchiveFile, type Part } from './setup/installed-parts.mjs';

// The program with which the set-up makes the class archives: Kafka and the registry are started once for their classes, and stopped.

function requireArchiveFile(part: Part): string {
  const file = classArchiveFile(part);
  if (file === null) throw new Error('Java is missing');
  return file;
}

/** Another set-up may do the same at the same time: who is last replaces what is there by the like. */
const making = (part: Part): string => `${requireArchiveFile(part)}.${process.pid}`;

const folder = mkdtempSync(join(tmpdir(), 'ingot-classes-'));
try {
  mkdirSync(join(folder, 'registry'));
  const kafka = await startKafka({ folder: join(folder, 'kafka'), preferredPort: null, makeClassArchive: making('kafka') });
  const registry = await startRegistry({
    folder: join(folder, 'registry'),
    preferredPort: null,
    kafkaBrokers: kafka.brokers,
    makeClassArchive: making('registry'),
  });
  await registry.stop();
  await kafka.stop();
  for (const part of ['kafka', 'registry'] as const) renameSync(making(part), requireArchiveFile(part));
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
