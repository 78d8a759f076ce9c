import { parseDeviceTopic } from './device-topic.ts';

// What a subscription filter takes, compared with where devices speak (device-topic.ts). MQTT 5, 4.7.1 and 4.8.2.

/**
 * `telemetry`: nothing but topics of devices. `wider`: others too, whose messages are dead letters. `never`: no topic of a device at all.
 * `malformed`: no filter.
 */
export type FilterScope = 'telemetry' | 'wider' | 'never' | 'malformed';

/** A shared subscription, or what EMQX has for it. */
const PREFIX = /^\$(?:share\/[^/+#]+|queue|exclusive)\//;

export function telemetryScope(filter: string): FilterScope {
  const levels = filter.replace(PREFIX, '').split('/');
  const isMalformed = levels.some((level, index) => (level === '#' ? index < levels.length - 1 : level.length > 1 && /[+#]/.test(level)));
  if (isMalformed || filter === '') return 'malformed';
  const [first, device, last] = levels;
  if (levels.length === 3 && first === 'devices' && last === 'telemetry' && device !== '#') {
    return device === '+' || parseDeviceTopic(levels.join('/')).ok ? 'telemetry' : 'never';
  }
  return takesSomeDevice(levels) ? 'wider' : 'never';
}

function takesSomeDevice(levels: readonly string[]): boolean {
  const wanted = ['devices', null, 'telemetry'];
  if (levels.at(-1) === '#') {
    // The level before it is matched too: `devices/+/telemetry/#` takes `devices/x/telemetry`.
    return levels.length <= wanted.length + 1 && levels.slice(0, -1).every((level, index) => isLevel(level, wanted[index]));
  }
  return levels.length === wanted.length && levels.every((level, index) => isLevel(level, wanted[index]));
}

function isLevel(level: string, wanted: string | null | undefined): boolean {
  return level === '+' || wanted === null || level === wanted;
}
