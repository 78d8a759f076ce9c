import { randomUUID } from 'node:crypto';
import { existsSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { takeFileLock } from '../ops/file-lock.ts';
import { requireUsableFolder } from '../ops/usable-folder.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const DATA_CHECK = 'data folder';
const FREE_BYTES_WANTED = 1024 ** 3;
const NODE_MAJOR_MIN = 20;

export interface MachineCheck {
  readonly nodeVersion: string;
  readonly productVersion: string;
  readonly dataFolder: string;
  /** The same with where it came from. */
  readonly dataFolderText: string;
  /** Path of Java when the local stack would be used; null when there is none, undefined when it is not needed. */
  readonly java: string | null | undefined;
}

export function checkMachine(check: MachineCheck): readonly Finding[] {
  return [...judgeVersions(check), checkDataFolder(check)];
}

export function judgeVersions({ nodeVersion, productVersion, java }: Omit<MachineCheck, 'dataFolder' | 'dataFolderText'>): Finding[] {
  const what = `Ingot ${productVersion}, Node ${nodeVersion}`;
  const isOld = Number.parseInt(nodeVersion, 10) < NODE_MAJOR_MIN;
  const version = isOld ? fail('versions', what, `Use Node ${NODE_MAJOR_MIN} or newer`) : ok('versions', what);
  if (java !== null) return [version];
  return [
    version,
    warn('versions', "no Java: 'ingot up' cannot start Kafka and a registry here", 'Install Java 17 or newer, or set KAFKA_BROKERS'),
  ];
}

/** Whether it can be written, locks, and has room. A folder that is not there yet is judged by where it would be made. */
function checkDataFolder({ dataFolder, dataFolderText }: MachineCheck): Finding {
  const lockPath = join(dataFolder, `doctor-${randomUUID()}.lock`);
  const isNew = !existsSync(dataFolder);
  if (isNew && !existsSync(dirname(dataFolder))) {
    return fail(DATA_CHECK, `${dataFolderText}: the folder above it does not exist`, 'Make it, or set DATA_FOLDER');
  }
  try {
    requireUsableFolder(dataFolder);
    takeFileLock(lockPath)?.release();
    const { bavail, bsize } = statfsSync(dataFolder);
    const freeBytes = bavail * bsize;
    const room = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free`;
    if (freeBytes < FREE_BYTES_WANTED) return warn(DATA_CHECK, `${dataFolderText}: ${room}`, 'Make room, or set DATA_FOLDER');
    return ok(DATA_CHECK, `${dataFolderText}: can be written and locks, ${room}`);
  } catch (error) {
    const { message } = error as Error;
    return fail(
      DATA_CHECK,
      `${dataFolderText}: ${message}`,
      'A role keeps its instance id there under a lock: give it a folder that can be written, on a file system with locks',
    );
  } finally {
    rmSync(lockPath, { force: true });
    if (isNew) rmSync(dataFolder, { recursive: true, force: true });
  }
}
