import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const POLL_MS = 200;
const DEADLINE_MS = 900_000;

/**
 * Runs `work` while no other set-up on this machine runs the same. The lock is a file with the owner's process id; that of a dead
 * owner is taken over. It only saves work and keeps `npm ci` from meeting itself: what is made becomes visible by one rename.
 */
export async function oneAtATime(lockFile, work) {
  mkdirSync(dirname(lockFile), { recursive: true });
  const deadline = Date.now() + DEADLINE_MS;
  while (!tryLock(lockFile)) {
    if (Date.now() > deadline) throw new Error(`Another set-up still holds ${lockFile}. If none is running, delete that file.`);
    await wait(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(lockFile, { force: true });
  }
}

function tryLock(lockFile) {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (isOwnerAlive(lockFile)) return false;
  try {
    const aside = `${lockFile}.${process.pid}`;
    renameSync(lockFile, aside);
    rmSync(aside, { force: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return false;
}

function isOwnerAlive(lockFile) {
  try {
    const owner = Number(readFileSync(lockFile, 'utf8'));
    // An owner that has just made the file may not have written its number yet.
    if (owner === 0) return true;
    process.kill(owner, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
