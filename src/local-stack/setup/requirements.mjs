import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findJava, findProgram } from './installed-parts.mjs';
import { MissingPart, runProgram } from './run-program.mjs';

const JAVA_MAJOR_MIN = 17;

/** MissingPart with the one command to run, when Java or Maven is missing or too old. */
export async function requireJava() {
  const java = findJava();
  if (java === null)
    throw new MissingPart(`Java ${JAVA_MAJOR_MIN} or newer is needed for the local Kafka. Install it: ${installCommand('java')}`);
  const major = await javaMajor(java);
  if (!(major >= JAVA_MAJOR_MIN)) {
    throw new MissingPart(
      `Java ${JAVA_MAJOR_MIN} or newer is needed for the local Kafka; ${java} is ${major || 'of an unknown version'}. Install it: ${installCommand('java')}`,
    );
  }
}

/** From the file `release` beside the program when there is one, which saves starting it. NaN when it cannot be told. */
async function javaMajor(java) {
  let text;
  try {
    text = readFileSync(join(dirname(realpathSync(java)), '..', 'release'), 'utf8');
  } catch {
    text = await runProgram(java, ['-version'], { deadlineMs: 20_000 });
  }
  return Number(/(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)/.exec(text)?.[1]);
}

export function requireMaven() {
  if (findProgram('mvn') === null)
    throw new MissingPart(`Maven is needed to bring Kafka and the registry. Install it: ${installCommand('maven')}`);
}

const DEBIAN_NAMES = {
  java: 'openjdk-17-jre-headless',
  maven: 'maven',
  mosquitto: 'mosquitto',
  postgresql: 'postgresql-15',
  chromium: 'chromium',
  openssl: 'openssl',
};
const BREW_NAMES = {
  java: 'openjdk@17',
  maven: 'maven',
  mosquitto: 'mosquitto',
  postgresql: 'postgresql@15',
  chromium: '--cask chromium',
  openssl: 'openssl',
};

/** The one command that installs these packages on this machine. */
export function installCommand(...packages) {
  if (process.platform === 'darwin') return `brew install ${packages.map((name) => BREW_NAMES[name]).join(' ')}`;
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  const names = debianNames(packages).join(' ');
  return isDebian() ? `${sudo}apt-get install -y ${names}` : `your package manager's command for: ${names}`;
}

export function debianNames(packages) {
  return packages.map((name) => DEBIAN_NAMES[name]);
}

export function isDebian() {
  return existsSync('/etc/debian_version') && findProgram('apt-get') !== null;
}
