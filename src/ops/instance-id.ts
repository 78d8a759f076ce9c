import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IngotError } from '../errors.ts';
import { takeFileLock } from './file-lock.ts';
import { log } from './log.ts';
import { folderUnusable, requireUsableFolder } from './usable-folder.ts';

// The instance id is a part of client ids, so it must be the same after a restart and never belong to two processes at once: a second
// one with the same MQTT client id throws the first off the broker, and a dead group member is only evicted when it surely was us.

export interface InstanceClaim {
  /** For example `3f9a01c2`; stable across restarts. */
  readonly id: string;
  /** False when the file system has no locks: then nothing may rely on the id being ours alone. */
  readonly isExclusive: boolean;
  /** False when other processes of the role are known to run on this data folder, which had the ids before this one. */
  readonly isFirst: boolean;
  release(): void;
}

export interface InstanceOptions {
  readonly dataFolder: string;
  /** `bridge`, `aggregator`, ...: each role counts its own instances. */
  readonly role: string;
  /** INSTANCE_ID; null lets the data folder decide. */
  readonly configuredId: string | null;
}

/** So many processes of one role may share a data folder. */
const SLOTS_MAX = 64;

/**
 * Takes INSTANCE_ID, or the first id of this data folder and role that no living process has.
 * IngotErrors `INSTANCE_LOCKED` when it is taken, or all are; `DATA_FOLDER_UNUSABLE`.
 */
export function claimInstance({ dataFolder, role, configuredId }: InstanceOptions): InstanceClaim {
  const folder = join(dataFolder, 'instances');
  requireUsableFolder(dataFolder);
  mkdirSync(folder, { recursive: true });
  if (configuredId !== null) {
    const lock = takeLock(join(folder, `${role}-id-${configuredId}.lock`));
    if (lock) return { id: configuredId, isFirst: true, ...lock };
    throw new IngotError(
      'INSTANCE_LOCKED',
      `INSTANCE_ID ${configuredId} of role ${role} is in use by another process on ${dataFolder}. Stop it, or give this one another INSTANCE_ID.`,
    );
  }
  for (let slot = 0; slot < SLOTS_MAX; slot++) {
    const lock = takeLock(join(folder, `${role}-${slot}.lock`));
    if (lock) return { id: keptId(dataFolder, join(folder, `${role}-${slot}.id`)), isFirst: slot === 0, ...lock };
  }
  throw new IngotError(
    'INSTANCE_LOCKED',
    `${SLOTS_MAX} processes of role ${role} already use ${dataFolder}. Give this one another DATA_FOLDER.`,
  );
}

/** Null when another process has it. */
function takeLock(path: string): Pick<InstanceClaim, 'isExclusive' | 'release'> | null {
  try {
    const lock = takeFileLock(path);
    return lock && { isExclusive: true, release: lock.release };
  } catch (error) {
    log('instance').warn(
      { path, error: (error as Error).message },
      'the data folder has no working file locks; dead group members will not be evicted',
    );
    return { isExclusive: false, release: () => {} };
  }
}

/** Only called by the holder of the slot's lock. */
function keptId(dataFolder: string, path: string): string {
  try {
    const kept = readFileSync(path, 'utf8').trim();
    if (/^[0-9a-f]{8}$/.test(kept)) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const id = randomBytes(4).toString('hex');
  try {
    writeFileSync(path, `${id}\n`);
  } catch (error) {
    throw folderUnusable(dataFolder, error);
  }
  return id;
}
