import { findChromium, findMosquitto, findOpenssl, findPostgresFolder } from './installed-parts.mjs';
import { debianNames, installCommand, isDebian } from './requirements.mjs';
import { MissingPart, runProgram } from './run-program.mjs';

const FINDERS = { mosquitto: findMosquitto, postgresql: findPostgresFolder, chromium: findChromium, openssl: findOpenssl };

/** Programs that only the tests need: a real MQTT broker, a real database, a real browser, certificates. */
export function missingSystemPackages() {
  return Object.keys(FINDERS).filter((name) => FINDERS[name]() === null);
}

/** Whether we may install them ourselves: as root on Debian, unless it is forbidden. */
export function mayInstallSystemPackages() {
  return process.env.INGOT_NO_SYSTEM_INSTALL !== '1' && process.getuid?.() === 0 && isDebian();
}

export function refuseSystemPackages(missing) {
  const forbidden = process.env.INGOT_NO_SYSTEM_INSTALL === '1' ? ' (INGOT_NO_SYSTEM_INSTALL=1 forbids installing them here)' : '';
  throw new MissingPart(`The tests need ${missing.join(', ')}${forbidden}. Install: ${installCommand(...missing)}`);
}

export async function installSystemPackages(missing) {
  // RUNLEVEL=1 keeps the packages' own services from starting: the tests start theirs on free ports.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  await runProgram('apt-get', ['update', '-q'], { env });
  await runProgram('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...debianNames(missing)], { env });
  const stillMissing = missingSystemPackages();
  if (stillMissing.length > 0) refuseSystemPackages(stillMissing);
}
