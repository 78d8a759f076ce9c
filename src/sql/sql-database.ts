import { type TlsSettingNames, tlsAdvice } from '../core/tls-failure.ts';
import { IngotError } from '../errors.ts';

// The narrow contract with a SQL database that speaks PostgreSQL's dialect: PostgreSQL itself, or PGlite in the process.

export type SqlRow = { readonly [column: string]: unknown };

export interface SqlResult {
  readonly rows: readonly SqlRow[];
  /** Rows read, or rows that a statement has changed. */
  readonly rowCount: number;
}

export interface SqlSession {
  /**
   * One statement. Arrays are passed as arrays. 64-bit integers may come back as text: cast what is read to text.
   * Rejects with IngotError `DATABASE_UNREACHABLE`, `DATABASE_REFUSED` or `ROW_REFUSED`.
   */
  query(text: string, parameters?: readonly unknown[]): Promise<SqlResult>;
}

export interface SqlDatabase extends SqlSession {
  /** For messages: where the database is, without secrets. */
  readonly address: string;
  /** Rows that one transaction should hold at most, so that nothing else waits for long. */
  readonly rowsPerTransaction: number;
  /** The least time from the begin of one such transaction to that of the next, when there are fewer rows. */
  readonly transactionIntervalMs: number;
  /** Several statements without parameters, in one transaction. */
  runScript(text: string): Promise<void>;
  /**
   * Commits what `work` did, or nothing when it rejects. When the answer to the commit is lost, it rejects with `DATABASE_UNREACHABLE`
   * and the outcome is unknown.
   */
  transaction<Result>(work: (session: SqlSession) => Promise<Result>): Promise<Result>;
  /** Waits for what is under way until the deadline. Never rejects. */
  close(deadlineMs: number): Promise<void>;
}

// Classes of SQLSTATE, PostgreSQL documentation appendix A.
const DATA_CLASSES: ReadonlySet<string> = new Set(['21', '22', '23', '54']);
const TRANSIENT_CLASSES: ReadonlySet<string> = new Set(['08', '40', '53', '55', '57', '58', 'XX']);
/** The connection, the login, the database: what DATABASE_URL says. */
const ADDRESS_CLASSES: ReadonlySet<string> = new Set(['08', '28', '3D']);
/** The server ended a session that was idle within a transaction, or a transaction that took too long. */
const TRANSIENT_STATES: ReadonlySet<string> = new Set(['25P03', '25P04']);

const TLS_SETTINGS: TlsSettingNames = {
  address: 'DATABASE_URL',
  ca: 'sslrootcert=FILE in DATABASE_URL',
  certificate: 'sslcert=FILE and sslkey=FILE in DATABASE_URL',
};

/** What a driver threw, as an error of ours. Without SQLSTATE it is the connection that failed. */
export function toDatabaseError(error: unknown, address: string): IngotError {
  if (error instanceof IngotError) return error;
  const { message, code } = describeDriverError(error);
  const sqlState = code !== null && /^[0-9A-Z]{5}$/.test(code) ? code : null;
  const details = { sqlState };
  const advice = sqlState === null ? tlsAdvice(message, TLS_SETTINGS) : null;
  if (advice !== null)
    return new IngotError('DATABASE_REFUSED', `The database at ${address}: ${message}. ${advice}.`, { cause: error, details });
  const isOfAddress = address.startsWith('postgres') && (sqlState === null || ADDRESS_CLASSES.has(sqlState.slice(0, 2)));
  const hint = isOfAddress ? ' Check DATABASE_URL.' : '';
  if (sqlState === null || TRANSIENT_CLASSES.has(sqlState.slice(0, 2)) || TRANSIENT_STATES.has(sqlState)) {
    return new IngotError('DATABASE_UNREACHABLE', `The database at ${address} does not do its work: ${message}.${hint}`, {
      cause: error,
      details,
    });
  }
  if (DATA_CLASSES.has(sqlState.slice(0, 2))) return new IngotError('ROW_REFUSED', message, { cause: error, details });
  return new IngotError('DATABASE_REFUSED', `The database at ${address} refused: ${message} (${sqlState}).${hint}`, {
    cause: error,
    details,
  });
}

export function describeDriverError(error: unknown): { message: string; code: string | null } {
  if (!(error instanceof Error)) return { message: String(error), code: null };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  // A connection attempt to several addresses fails with an AggregateError, which has no message of its own.
  const message = error.message !== '' ? error.message : error instanceof AggregateError ? error.errors.map(String).join('; ') : error.name;
  return { message, code };
}
