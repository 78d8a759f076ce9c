// Brings what `npm start` and `npm test` need on a fresh clone: packages, Kafka and the registry, and for the tests mosquitto,
// PostgreSQL and a browser. It runs before any package is installed, so it is plain JavaScript for Node 20 and newer.
// A second run only looks whether everything is there.

import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { classArchiveFile, isPartComplete, PARTS_LOCK } from './setup/installed-parts.mjs';
import { installMavenParts } from './setup/maven-parts.mjs';
import { arePackagesInstalled, installPackages } from './setup/node-packages.mjs';
import { requireJava, requireMaven } from './setup/requirements.mjs';
import { MissingPart, runProgram } from './setup/run-program.mjs';
import { installSystemPackages, mayInstallSystemPackages, missingSystemPackages, refuseSystemPackages } from './setup/system-packages.mjs';

const PROJECT_FOLDER = fileURLToPath(new URL('../..', import.meta.url));
const PART_NAMES = { kafka: 'Apache Kafka', registry: 'Apicurio Registry' };

async function main(purpose) {
  if (purpose !== 'start' && purpose !== 'test') throw new MissingPart('Usage: node src/local-stack/setup.mjs start|test');
  const parts = partsNeeded(purpose);
  const missingParts = parts.filter((part) => !isPartComplete(part));
  const missingPrograms = purpose === 'test' ? missingSystemPackages() : [];
  // What the user must do comes before anything is downloaded.
  if (parts.length > 0) await requireJava();
  if (missingParts.length > 0) requireMaven();
  if (missingPrograms.length > 0 && !mayInstallSystemPackages()) refuseSystemPackages(missingPrograms);

  const work = [];
  if (!arePackagesInstalled(PROJECT_FOLDER)) {
    say('installing packages (npm ci)');
    work.push(timed('packages', installPackages(PROJECT_FOLDER)));
  }
  if (missingParts.length > 0) {
    say(`downloading ${missingParts.map(partName).join(' and ')} with Maven, once for all clones`);
    work.push(installMavenParts(missingParts, (part, durationMs) => sayDone(partName(part), durationMs)));
  }
  if (missingPrograms.length > 0) {
    say(`installing the system packages ${missingPrograms.join(', ')} with apt-get, for the tests (INGOT_NO_SYSTEM_INSTALL=1 forbids it)`);
    work.push(timed(missingPrograms.join(', '), installSystemPackages(missingPrograms)));
  }
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
  if (parts.length === 2 && !parts.every(hasQuickStart)) await prepareQuickStarts(parts);
}

/** Also when it could not be prepared once, or nothing can be kept there: a user shall not wait for it at each start. */
function hasQuickStart(part) {
  const file = classArchiveFile(part);
  return existsSync(file) || existsSync(`${file}${FAILED}`) || !isWritable(dirname(file));
}

const FAILED = '.failed';

/** Once for each Java: afterwards Kafka and the registry start in half the time. Without it they start too. */
async function prepareQuickStarts(parts) {
  say('preparing quick starts of Kafka and the registry, once for all clones');
  const node = join(PROJECT_FOLDER, 'node_modules', '.bin', 'node');
  const program = join(PROJECT_FOLDER, 'src', 'local-stack', 'make-class-archives.ts');
  try {
    await timed('quick starts', runProgram(node, [program], { deadlineMs: 300_000 }));
  } catch (error) {
    for (const part of parts) writeFileSync(`${classArchiveFile(part)}${FAILED}`, error.message);
    say(`quick starts could not be prepared; everything works without them: ${error.message}`);
  }
}

function isWritable(folder) {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** With Kafka and a registry configured, `npm start` uses those. The tests always bring their own. */
function partsNeeded(purpose) {
  const configured = { kafka: process.env.KAFKA_BROKERS, registry: process.env.SCHEMA_REGISTRY_URL };
  return Object.keys(PART_NAMES).filter((part) => purpose === 'test' || !configured[part]);
}

function partName(part) {
  return `${PART_NAMES[part]} ${PARTS_LOCK[part].version}`;
}

async function timed(name, work) {
  const startedAtMs = Date.now();
  await work;
  sayDone(name, Date.now() - startedAtMs);
}

function sayDone(name, durationMs) {
  say(`${name}: ready after ${(durationMs / 1000).toFixed(1)} s`);
}

function say(text) {
  process.stderr.write(`set-up: ${text}\n`);
}

try {
  await main(process.argv[2]);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = error instanceof MissingPart ? 2 : 1;
}
