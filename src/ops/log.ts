import { type Logger, pino } from 'pino';

// Logs go to stderr: stdout belongs to the data that a command prints.

export type { Logger };

export interface LogOptions {
  readonly level: string;
  /** `json`: one object per line. `text`: one short line, for a terminal. */
  readonly format: 'json' | 'text';
}

const toStderr = pino.destination({ dest: 2, sync: true });
let root: Logger = pino({ level: 'info' }, toStderr);

/** Sets level and format for the whole process; call once, first thing. */
export function configureLog(options: LogOptions): void {
  const base = { level: options.level, base: null, redact: { paths: ['*.password', '*.auth', '*.token'], censor: '[masked]' } };
  const write = options.format === 'json' ? (line: string) => writeLine(line) : (line: string) => writeLine(textLine(line));
  root = pino(base, { write });
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

let writeLine: (line: string) => void = (line) => void toStderr.write(line);

/** Where lines go instead of stderr, each with its line end: `ingot up` prints them above what it draws. */
export function redirectLog(write: (line: string) => void): void {
  writeLine = write;
}

function textLine(line: string): string {
  const { level, time, component, msg, ...rest } = JSON.parse(line) as Record<string, unknown> & { level: number; time: number };
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const clock = new Date(time).toISOString().slice(11, 23);
  return `${clock} ${LEVEL_NAMES.get(level) ?? level} ${String(component ?? '')}: ${String(msg ?? '')}${fields.join('')}\n`;
}
