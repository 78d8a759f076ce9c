import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';

// The folder of the embedded database. To make one takes PGlite six seconds of a processor, so a finished one is kept in the cache of the user
// and copied. Whatever is made is made beside its place and renamed: a process that is killed meanwhile leaves nothing half-made
// where the next one looks.

const packageFile = new URL('../../package.json', import.meta.url);

/** Makes the folder if it is not there. `cacheFolder` null: nothing is kept for later. */
export async function prepareFolder(folder: string, cacheFolder: string | null): Promise<void> {
  if (isDatabase(folder)) return;
  const template = cacheFolder === null ? null : await keptDatabase(cacheFolder).catch(() => null);
  await replace(folder, (made) => (template === null ? makeDatabase(made) : cp(template, made, { recursive: true })));
}

/** A finished folder, one per version of PGlite. */
async function keptDatabase(cacheFolder: string): Promise<string> {
  const { dependencies } = JSON.parse(readFileSync(packageFile, 'utf8')) as { dependencies: Readonly<Record<string, string>> };
  const template = join(cacheFolder, `pglite-${dependencies['@electric-sql/pglite']}`);
  if (!isDatabase(template)) await replace(template, makeDatabase);
  return template;
}

function isDatabase(folder: string): boolean {
  return existsSync(join(folder, 'PG_VERSION'));
}

async function makeDatabase(folder: string): Promise<void> {
  const database = new PGlite(folder);
  await database.waitReady;
  await database.close();
}

async function replace(folder: string, make: (beside: string) => Promise<void>): Promise<void> {
  const beside = `${folder}.${process.pid}-${threadId}`;
  await mkdir(dirname(folder), { recursive: true });
  await rm(beside, { recursive: true, force: true });
  try {
    await make(beside);
    await rename(beside, folder);
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    // Another process was quicker, and its folder is as good.
    if (!isDatabase(folder)) throw error;
  }
}
