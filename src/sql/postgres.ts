import pg from 'pg';
import { type SqlDatabase, type SqlSession, toDatabaseError } from './sql-database.ts';

// PostgreSQL, through the driver `pg`.

const CONNECTIONS_MAX = 4;
const CONNECT_TIMEOUT_MS = 5_000;
/** No statement of ours takes longer; a server that says nothing for so long is taken for away. */
const QUERY_TIMEOUT_MS = 60_000;
const ROWS_PER_TRANSACTION = 20_000;
// The aggregator commits each partition about every 50 ms; together they would be a transaction here every few milliseconds.
const TRANSACTION_INTERVAL_MS = 50;

// A process that stands still in the middle of a transaction must not hold its locks for ever, and nobody waits for ever for such locks.
// Set here and not at the login, because a connection pooler in between would refuse that.
const BEGIN = "begin; set local idle_in_transaction_session_timeout = '30s'; set local lock_timeout = '20s'";

/** Connects when it is first used. Throws IngotError `DATABASE_REFUSED` when the URL is none. */
export function openPostgres(databaseUrl: string): SqlDatabase {
  const address = addressOf(databaseUrl);
  const pool = openPool(databaseUrl, address);
  // A connection that breaks while it is idle is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {});

  const run: SqlSession['query'] = (text, parameters) => queryOn(pool, { text, parameters, address });
  return {
    address,
    rowsPerTransaction: ROWS_PER_TRANSACTION,
    transactionIntervalMs: TRANSACTION_INTERVAL_MS,
    query: run,
    // Several statements in one message are one transaction by themselves.
    runScript: async (text) => void (await run(text)),
    transaction: (work) => inTransaction(pool, work, address),
    close: (deadlineMs) => closeWithin(pool, deadlineMs),
  };
}

function openPool(databaseUrl: string, address: string): pg.Pool {
  try {
    return new pg.Pool({
      connectionString: databaseUrl,
      application_name: 'ingot',
      max: CONNECTIONS_MAX,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
    });
  } catch (error) {
    throw toDatabaseError(error, address);
  }
}

interface Statement {
  readonly text: string;
  readonly parameters?: readonly unknown[] | undefined;
  readonly address: string;
}

async function queryOn(connection: pg.Pool | pg.PoolClient, { text, parameters, address }: Statement) {
  try {
    const { rows, rowCount } = await connection.query(text, parameters === undefined ? undefined : [...parameters]);
    return { rows: rows as readonly { [column: string]: unknown }[], rowCount: rowCount ?? 0 };
  } catch (error) {
    throw toDatabaseError(error, address);
  }
}

async function inTransaction<Result>(pool: pg.Pool, work: (session: SqlSession) => Promise<Result>, address: string): Promise<Result> {
  const client = await pool.connect().catch((error: unknown) => {
    throw toDatabaseError(error, address);
  });
  // A connection that breaks between two statements tells so by an event; the next statement then rejects.
  const ignore = (): void => {};
  client.on('error', ignore);
  const run = (text: string, parameters?: readonly unknown[]) => queryOn(client, { text, parameters, address });
  let broken: Error | undefined;
  try {
    await run(BEGIN);
    const result = await work({ query: run });
    await run('commit');
    return result;
  } catch (error) {
    await run('rollback').catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
    client.off('error', ignore);
    // A connection that could not even roll back is closed instead of being used again.
    client.release(broken);
  }
}

async function closeWithin(pool: pg.Pool, deadlineMs: number): Promise<void> {
  const { promise: deadline, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, deadlineMs);
  await Promise.race([pool.end().catch(() => {}), deadline]);
  clearTimeout(timer);
}

/** `postgres://host:5432/name`, without user and password. */
function addressOf(databaseUrl: string): string {
  try {
    const { protocol, host, pathname } = new URL(databaseUrl);
    return `${protocol}//${host}${pathname}`;
  } catch {
    return 'DATABASE_URL';
  }
}
