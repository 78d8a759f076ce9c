import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openPostgres } from '../../src/sql/postgres.ts';
import { stack } from '../support/stack.ts';
import { testDatabases } from '../support/test-databases.ts';
import { sqlContract } from './sql-contract.ts';

describe('PostgreSQL', () => {
  const databases = testDatabases();
  afterEach(() => databases.close());

  sqlContract(() => databases.postgres());

  it('a connection that is cut in a transaction is an error to try again, and the next transaction has a new one', async () => {
    const database = await databases.postgres();
    await database.query('create table thing (id bigint)');
    const cut = database.transaction(async (session) => {
      await session.query('insert into thing values (1)');
      const { rows } = await session.query('select pg_backend_pid()::text as pid');
      await database.query('select pg_terminate_backend($1::integer)', [rows[0]!.pid]);
      await session.query('insert into thing values (2)');
    });
    await expect(cut).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    await database.transaction((session) => session.query('insert into thing values (3)'));
    expect((await database.query('select id::text from thing')).rows).toEqual([{ id: '3' }]);
  });

  it('a server that is away, and one that says nothing, are errors to try again', async () => {
    const away = openPostgres('postgres://ann:secret@127.0.0.1:1/name');
    await expect(away.query('select 1')).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE', canRetry: true });
    await expect(away.query('select 1')).rejects.not.toThrow(/secret/);
    await away.close(100);
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const unheard = openPostgres(`postgres://127.0.0.1:${port}/name`);
    await expect(unheard.query('select 1')).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    await unheard.close(100);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('a database that is not there is a refusal', async () => {
    const url = new URL(stack().postgresUrl);
    url.pathname = '/nowhere';
    const database = openPostgres(url.href);
    await expect(database.query('select 1')).rejects.toMatchObject({ code: 'DATABASE_REFUSED', canRetry: false });
    await database.close(100);
  });
});
