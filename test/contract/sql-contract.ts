import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/sql/migrations.ts';
import type { SqlDatabase } from '../../src/sql/sql-database.ts';

/** What the sink expects of a database; run against PostgreSQL and against PGlite. `open` gives an empty one. */
export function sqlContract(open: () => Promise<SqlDatabase>): void {
  const withTable = async (): Promise<SqlDatabase> => {
    const database = await open();
    await database.runScript('create table thing (id bigint primary key, name text); create table other (id bigint)');
    return database;
  };
  const ids = async (database: SqlDatabase) => (await database.query('select id::text from thing order by id')).rows.map(({ id }) => id);

  describe('parameters', () => {
    it('may be arrays of every type that the rows need, nulls and odd texts in them', async () => {
      const database = await open();
      const { rows } = await database.query(
        `select a, b::text, c, (timestamptz 'epoch' + d * interval '1 millisecond')::text as d, e::jsonb as e, encode(f, 'hex') as f, g::text
         from unnest($1::text[], $2::bigint[], $3::float8[], $4::float8[], $5::text[], $6::bytea[], $7::uuid[]) as r(a, b, c, d, e, f, g)`,
        [
          ['{"x",\\}', 'null', '', "é\n'", null],
          [1, Number.MAX_SAFE_INTEGER, -1, 0, null],
          [0.1, 1.7976931348623157e308, 5e-324, -0.30000000000000004, null],
          [1_700_000_000_123, 7_258_118_399_999, 946_684_800_000, 0, null],
          ['{"a":"é\\""}', '[]', '{}', 'null', null],
          [Buffer.from([0, 255]), Buffer.alloc(0), Buffer.from('a'), Buffer.from('b'), null],
          ['6f1d3c52-8a0e-5b7c-9f44-2d1e6c0a7b38', null, null, null, null],
        ],
      );
      expect(rows.map(({ a }) => a)).toEqual(['{"x",\\}', 'null', '', "é\n'", null]);
      expect(rows.map(({ b }) => b)).toEqual(['1', '9007199254740991', '-1', '0', null]);
      expect(rows.map(({ c }) => c)).toEqual([0.1, 1.7976931348623157e308, 5e-324, -0.30000000000000004, null]);
      expect(rows.map(({ d }) => d && new Date(String(d)).getTime())).toEqual([
        1_700_000_000_123,
        7_258_118_399_999,
        946_684_800_000,
        0,
        null,
      ]);
      expect(rows[0]!.e).toEqual({ a: 'é"' });
      expect(rows.map(({ f }) => f)).toEqual(['00ff', '', '61', '62', null]);
      expect(rows[0]!.g).toBe('6f1d3c52-8a0e-5b7c-9f44-2d1e6c0a7b38');
    });

    it('tells how many rows a statement changed', async () => {
      const database = await withTable();
      const insert = 'insert into thing (id) select * from unnest($1::bigint[]) on conflict do nothing';
      expect((await database.query(insert, [[1, 2, 3]])).rowCount).toBe(3);
      expect((await database.query(insert, [[3, 4]])).rowCount).toBe(1);
    });
  });

  describe('a transaction', () => {
    it('is committed as a whole and gives back what the work gave', async () => {
      const database = await withTable();
      const given = await database.transaction(async (session) => {
        await session.query('insert into thing values (1), (2)');
        await session.query('insert into thing values (3)');
        return 'done';
      });
      expect(given).toBe('done');
      expect(await ids(database)).toEqual(['1', '2', '3']);
    });

    it('leaves nothing when the work rejects, and the database goes on', async () => {
      const database = await withTable();
      const failing = database.transaction(async (session) => {
        await session.query('insert into thing values (1)');
        throw new Error('changed my mind');
      });
      await expect(failing).rejects.toThrow('changed my mind');
      expect(await ids(database)).toEqual([]);
      await database.query('insert into thing values (5)');
      expect(await ids(database)).toEqual(['5']);
    });

    it('can go back to a savepoint after a row that was refused', async () => {
      const database = await withTable();
      await database.transaction(async (session) => {
        await session.query('insert into thing values (1)');
        await session.query('savepoint s');
        await expect(session.query('insert into thing values (1)')).rejects.toMatchObject({ code: 'ROW_REFUSED' });
        await session.query('rollback to savepoint s');
        await session.query('insert into thing values (2)');
      });
      expect(await ids(database)).toEqual(['1', '2']);
    });

    it('sees nothing of others that run at the same time, and loses nothing', async () => {
      const database = await withTable();
      await database.query('insert into other values (0)');
      const increment = () =>
        database.transaction(async (session) => {
          const { rows } = await session.query('select id::text from other for update');
          await session.query('update other set id = $1::bigint', [Number(rows[0]!.id) + 1]);
        });
      await Promise.all(Array.from({ length: 8 }, increment));
      expect((await database.query('select id::text from other')).rows).toEqual([{ id: '8' }]);
    });
  });

  describe('an error', () => {
    it.each([
      ['a text with NUL', 'insert into thing values (1, $1)', ['a\0b'], 'ROW_REFUSED', '22021'],
      ['a key that is there', 'insert into thing values (1), (1)', [], 'ROW_REFUSED', '23505'],
      ['a number that is none', 'select $1::bigint', ['x'], 'ROW_REFUSED', '22P02'],
      ['JSON with NUL', 'select $1::jsonb', ['"\\u0000"'], 'ROW_REFUSED', '22P05'],
      [
        'a key that is too long for an index',
        "insert into long_key select string_agg(md5(i::text), '') from generate_series(1, 2000) as i",
        [],
        'ROW_REFUSED',
        '54000',
      ],
      ['a table that is not there', 'select * from nowhere', [], 'DATABASE_REFUSED', '42P01'],
      ['a statement that is none', 'selekt 1', [], 'DATABASE_REFUSED', '42601'],
    ])('for %s has code and SQLSTATE', async (_, text, parameters, code, sqlState) => {
      const database = await withTable();
      await database.query('create table long_key (name text primary key)');
      await expect(database.query(text, parameters)).rejects.toMatchObject({ code, details: { sqlState } });
    });

    it('in a script undoes the script', async () => {
      const database = await withTable();
      await expect(database.runScript('insert into thing values (1); insert into thing values (1)')).rejects.toMatchObject({
        code: 'ROW_REFUSED',
      });
      expect(await ids(database)).toEqual([]);
      await database.runScript('insert into thing values (2); insert into thing values (3)');
      expect(await ids(database)).toEqual(['2', '3']);
    });
  });

  describe('the tables', () => {
    it('are made once, however many start at the same time', async () => {
      const database = await open();
      await Promise.all([migrate(database), migrate(database), migrate(database)]);
      await migrate(database);
      expect((await database.query('select version from ingot_tables')).rows).toEqual([{ version: 1 }]);
      expect((await database.query('select * from window_totals')).rows).toEqual([]);
    });

    it('of a later version are left alone', async () => {
      const database = await open();
      await migrate(database);
      await database.query('insert into ingot_tables (version) values (99)');
      await expect(migrate(database)).rejects.toMatchObject({ code: 'DATABASE_NEWER' });
    });
  });
}
