import { type Logger, pino } from 'pino';

// Logs go to stderr: stdout belongs to the data that a command prints.

export type { Logger };

export interface LogOptions {
  readonly level: string;
  /** `json`: one object per line. `text`: one short line, for a terminal. */
  readonly format: 'json' | 'text';
}

let root: Logger = pino({ level: 'info' }, pino.destination({ dest: 2, sync: true }));

/** Sets level and format for the whole process; call once, first thing. */
export function configureLog(options: LogOptions): void {
  const base = { level: options.level, base: null, redact: { paths: ['*.password', '*.auth', '*.token'], censor: '[masked]' } };
  root = options.format === 'json' ? pino(base, pino.destination({ dest: 2, sync: true })) : pino(base, { write: writeTextLine });
}

/** The logger of one component, for example `log('bridge')`. */
export function log(component: string): Logger {
  return root.child({ component });
}

const LEVEL_NAMES: ReadonlyMap<number, string> = new Map([
  [10, 'TRACE'],
  [20, 'DEBUG'],
  [30, 'INFO'],
  [40, 'WARN'],
  [50, 'ERROR'],
  [60, 'FATAL'],
]);

let writeText: (text: string) => void = (text) => void process.stderr.write(text);

/** Where lines of the text form go instead of stderr: `ingot up` prints them above what it draws. */
export function redirectTextLog(write: (text: string) => void): void {
  writeText = write;
}

function writeTextLine(line: string): void {
  const { level, time, component, msg, ...rest } = JSON.parse(line) as Record<string, unknown> & { level: number; time: number };
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const clock = new Date(time).toISOString().slice(11, 23);
  writeText(`${clock} ${LEVEL_NAMES.get(level) ?? level} ${String(component ?? '')}: ${String(msg ?? '')}${fields.join('')}\n`);
}
